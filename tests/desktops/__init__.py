"""Virtual desktops of X11 and of Wayland, looked at and handled by tests as a person would."""
