"""libvirt's pools and volumes, and disk images."""
