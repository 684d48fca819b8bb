"""The window that asks before something crosses to another domain: a program of its own."""
