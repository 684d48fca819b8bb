"""The table of domains and what is told of the chosen one."""
