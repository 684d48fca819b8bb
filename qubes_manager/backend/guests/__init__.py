"""What is inside a guest: its agent, its ports, its system."""
