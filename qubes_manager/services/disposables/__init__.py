"""Domains that are gone when they stop: making them, naming them, and clearing up after them."""
