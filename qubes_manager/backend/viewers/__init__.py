"""The sandbox of the programs that draw for guests."""
