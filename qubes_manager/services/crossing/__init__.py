"""What goes from one domain to another."""
