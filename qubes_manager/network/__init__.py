"""What stands between a domain's network card and the world, as programs beside its QEMU.

libvirt starts ``emulator`` in QEMU's place. It makes two network namespaces: an empty one, in which it becomes QEMU,
and one with the other end of the network card, the packet filter and the way out, which ``keeper`` looks after until
QEMU ends. All of it runs as the user, under the system's Python, and imports nothing but the core.
"""
