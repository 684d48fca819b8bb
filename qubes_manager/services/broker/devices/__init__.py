"""Devices that come to domains by their assignments, while the broker runs."""
