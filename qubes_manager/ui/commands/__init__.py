"""What happens when an action is chosen."""
