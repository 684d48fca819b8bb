"""Which addresses a domain may reach: rules in the grammar of Qubes' firewall, and what they decide."""
