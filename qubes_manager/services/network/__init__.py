"""Domains' networks: whether they can be kept apart, and what they let through."""
