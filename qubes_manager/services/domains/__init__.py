"""What is done to a domain, and what is set of it."""
