"""Connections to libvirt, their threads and events."""
