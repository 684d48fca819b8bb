"""What crosses between domains: the ports it goes through and what is said there."""
