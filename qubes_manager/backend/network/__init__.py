"""Domains' networks, as far as this machine makes them: the program in QEMU's place, and asking its keepers."""
