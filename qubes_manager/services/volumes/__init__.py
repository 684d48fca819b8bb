"""The volumes of domains, templates' roots, and where they lie."""
