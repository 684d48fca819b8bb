"""The qvm-* commands; they start without importing Qt."""
