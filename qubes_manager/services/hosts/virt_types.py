"""KVM where it works, else software emulation; found out once for each connection."""

import asyncio
from collections import defaultdict

from qubes_manager.backend.host.kvm_trial import kvm_offered, kvm_works
from qubes_manager.services.hosts.hosts import Hosts


class VirtTypes:
    """Remembers, while the program runs, what each connection's host can do."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._known: dict[str, bool] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def best(self, uri: str, kernel: str = "") -> str:
        """Return ``kvm`` or ``qemu``. With a *kernel* (a path on the host) KVM is tried, else libvirt is believed."""
        connection = self._hosts.connection(uri)
        async with self._locks[uri]:
            if uri not in self._known:
                offered = await kvm_offered(connection)
                if not (offered and kernel):
                    return "kvm" if offered else "qemu"
                self._known[uri] = await kvm_works(connection, kernel)
            return "kvm" if self._known[uri] else "qemu"
