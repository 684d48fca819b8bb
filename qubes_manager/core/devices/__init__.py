"""Devices of the host: what they are called, whom they are given to, and the rules for that."""
