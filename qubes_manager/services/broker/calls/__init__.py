"""Calls that guests make, to one another and to this machine."""
