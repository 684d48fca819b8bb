"""What belongs to the user who runs the program."""
