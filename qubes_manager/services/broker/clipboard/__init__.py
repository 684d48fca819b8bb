"""The inter-domain clipboard."""
