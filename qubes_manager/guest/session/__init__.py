"""The session whose windows the host shows: what starts applications in it, and the way to the host."""
