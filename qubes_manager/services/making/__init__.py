"""Making domains and templates."""
