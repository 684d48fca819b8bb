"""libvirt's domains: their XML, reading them, acting on them."""
