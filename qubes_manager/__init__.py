"""Qubes Manager for libvirt: security domains with coloured labels on any Linux machine."""

__version__ = "0.1.0"
