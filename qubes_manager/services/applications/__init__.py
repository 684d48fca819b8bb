"""The applications of guests, and the menus that show them."""
