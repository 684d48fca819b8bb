"""The async adapter to libvirt, to guests and to host tools; the only package that imports libvirt."""
