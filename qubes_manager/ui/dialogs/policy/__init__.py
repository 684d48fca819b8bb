"""The policy of what crosses between domains: reading, editing, trying and drawing it, and what it decided."""
