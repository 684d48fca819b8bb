"""Who may ask what of whom: Qubes' policy language, read and decided. Pure."""
