"""The microphone of this machine's user: off, and on for a domain that was started with a way to hear."""

import contextlib
from collections.abc import AsyncGenerator, Mapping

from qubes_manager.backend.host import microphone_streams as streams
from qubes_manager.backend.host import sound_server
from qubes_manager.core.devices.device import Device, require_one
from qubes_manager.core.devices.identity import DeviceClass, DeviceName
from qubes_manager.core.devices.microphone import PORT, Microphone, hearing, refuse_options
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import HostCallFailed, Refused
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.sound import can_be_heard
from qubes_manager.services.devices.kind import Holder, Offered
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore


class Microphones:
    """The one microphone; several domains may have it. Nothing is written of it: it is off with the end of each run."""

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        self._hosts = hosts
        self._store = store

    @property
    def klass(self) -> DeviceClass:
        """Microphones."""
        return DeviceClass.MIC

    def check_options(self, options: Mapping[str, str]) -> None:
        """Raise BadInput for any option: a microphone has none."""
        refuse_options(options)

    async def offered(self, uri: str) -> list[Offered]:
        """Return the microphone with who hears now; nothing where QEMU does not run as the user of a sound server."""
        address = sound_server.server_address()
        if not can_be_heard(uri):
            return []
        try:
            device = Microphone(await streams.microphone_name(address))
            names = hearing(await streams.recorders(address))
        except HostCallFailed:
            return []
        return [Offered(device, tuple(Holder(domain, PORT) for domain in self._active(uri) if domain.name in names))]

    async def find(self, uri: str, name: DeviceName) -> Device:
        """Return the microphone, if *name* means it; see DeviceKind."""
        return require_one([one.device for one in await self.offered(uri)], name, self.klass)

    async def held(self, domain: Domain) -> list[tuple[Device, Holder]]:
        """Return the microphone if the domain hears now; see DeviceKind."""
        if not can_be_heard(domain.key.connection) or not domain.state.is_active:
            return []
        # Nobody is told that it is off where it may be on.
        names = hearing(await streams.recorders(sound_server.server_address()))
        return [(Microphone(), Holder(domain, PORT))] if domain.name in names else []

    async def require(self, domain: Domain) -> None:
        """Nothing: it is switched on when it runs."""

    async def give(self, key: DomainKey, device: Device, options: Mapping[str, str]) -> str:
        """Let a running domain hear; returns the microphone's name there.

        Raises BadInput, Refused where it cannot, as it was started without a way to hear, and HostCallFailed: then it
        does not.
        """
        refuse_options(options)
        domain = self._guest(key)
        if not can_be_heard(key.connection):
            raise Refused(f"“{domain.name}” cannot hear: its QEMU does not run as the user of this machine’s sound")
        if not domain.state.is_active:
            raise Refused(f"“{domain.name}” is not running: assign the microphone to it, and start it")
        await streams.unmute(sound_server.server_address(), domain.name)
        return PORT

    async def take(self, holder: Holder, device: Device, *, force: bool = False, progress: Progress = SILENT) -> str:
        """Let a domain hear nothing any more, whatever its guest does; raises HostCallFailed where it still may."""
        domain = holder.domain
        try:
            await streams.mute(sound_server.server_address(), domain.name)
        except HostCallFailed as error:
            raise HostCallFailed(
                f"“{domain.name}” may still hear what is said: {error}. Shut it down, or pull the microphone out",
                error.details,
            ) from error
        return f"“{domain.name}” hears nothing any more"

    def warnings(self, device: Device) -> list[str]:
        """Return what being heard means."""
        return ["while it is on, the domain hears all that is said near this machine, and can send it on"]

    async def prepare(self, domain: Domain, name: str) -> bool:
        """Let what a domain records be silence from its first moment on, before it starts as *name*.

        Returns whether it may get a way to hear: not where the server does not keep that.
        """
        if not can_be_heard(domain.key.connection):
            return False
        try:
            await streams.keep_muted(sound_server.server_address(), name)
        except HostCallFailed:
            return False
        return True

    async def settle(self, key: DomainKey) -> None:
        """Let a domain that has just started hear nothing, whatever the server kept of it; raises HostCallFailed."""
        await streams.mute(sound_server.server_address(), self._store.require(key).name)

    async def follow(self, uri: str) -> AsyncGenerator[frozenset[DomainKey], None]:
        """Tell which domains hear, at once and whenever that changes, until the sound server ends.

        While somebody follows, a domain loses the microphone when that is pulled out: it would hear what others play.
        Raises HostCallFailed.
        """
        async with contextlib.aclosing(streams.follow(sound_server.server_address())) as news:
            async for found in news:
                names = hearing(found)
                yield frozenset(domain.key for domain in self._active(uri) if domain.name in names)

    def _active(self, uri: str) -> list[Domain]:
        return [domain for domain in self._store.of_host(uri) if domain.state.is_active and not domain.is_host]

    def _guest(self, key: DomainKey) -> Domain:
        domain = self._store.require(key)
        if domain.is_host:
            raise Refused(f"{HOST_NAME} is this machine; its microphone is its own")
        return domain
