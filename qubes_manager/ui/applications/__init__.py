"""Guests' applications in the manager's window."""
