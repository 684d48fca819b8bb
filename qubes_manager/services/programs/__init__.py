"""Our programs that serve the others through a socket of the user's: finding, starting, asking and being one."""
