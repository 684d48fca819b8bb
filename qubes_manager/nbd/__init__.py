"""What serves a block device of this machine to a QEMU that may not open it: run by the system's Python, alone."""
