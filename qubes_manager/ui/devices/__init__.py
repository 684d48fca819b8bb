"""The host's devices in the manager's window: the page, the menus, what is done with them."""
