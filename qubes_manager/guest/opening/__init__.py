"""Opening files and addresses with the programs of this domain, and knowing when the user has closed them."""
