"""The machine that libvirt runs on."""
