"""Plain data and rules: no Qt, no libvirt, no input or output."""
