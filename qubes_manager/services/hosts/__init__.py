"""The libvirt hosts, and all domains as last heard of."""
