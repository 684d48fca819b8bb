"""The talk with each guest, and this machine's part in calls."""
