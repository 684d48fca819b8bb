"""What is said with the display server in a guest: typed packets, and their forms in each version that is known."""
