"""The ends of disposables, and those that are kept ready."""
