"""How the windows of guests come to the host's screen."""
