"""Files that go inside guests, as package data."""
