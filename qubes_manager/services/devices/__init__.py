"""The host's devices, handed to domains."""
