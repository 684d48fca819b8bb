"""A domain's firewall, as a table of its rules."""
