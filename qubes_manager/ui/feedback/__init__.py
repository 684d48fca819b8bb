"""How the window asks, says what goes on and what went wrong."""
