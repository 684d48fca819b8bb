"""Letting domains be heard, and hear: the device, the sound server that plays it, mute, and the microphone."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from qubes_manager.backend.domains.microphone_xml import goes_on_hearing
from qubes_manager.backend.host import sound_server
from qubes_manager.core.devices.assignment import Assignment, Mode, assignment_for
from qubes_manager.core.devices.interfaces import denied_by
from qubes_manager.core.devices.microphone import Microphone
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import HostCallFailed, QubesManagerError, Refused
from qubes_manager.core.sound import PLAYING, can_be_heard, is_heard
from qubes_manager.services.devices.microphone import Microphones
from qubes_manager.services.domains.port_upgrade import is_made_by_us
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore

if TYPE_CHECKING:
    from qubes_manager.backend.domains.domain_xml import DomainEdit

log = logging.getLogger(__name__)


class Sound:
    """Gives domains of ours their sound at their starts.

    At rest they play to nobody, because QEMU does not start where its sound server is gone (7.2: “Failed to initialize
    PA context”): whoever else starts one, on whatever screen or none, gets it without sound.

    One that the microphone is assigned to gets a way to hear as well. QEMU records by it from its first moment on, and
    the sound server gives it silence until somebody lets the domain hear.
    """

    def __init__(self, hosts: Hosts, store: DomainStore, microphones: Microphones) -> None:
        self._hosts = hosts
        self._store = store
        self._microphones = microphones
        # Whether a connection's QEMU can play: it is asked once.
        self._can_play: dict[str, bool] = {}

    @contextlib.asynccontextmanager
    async def playing(self, key: DomainKey) -> AsyncIterator[None]:
        """Let a domain that starts in the block be heard, and hear, if it is to; where that fails it starts without.

        Raises HostCallFailed for one that may have heard unasked: it was killed. Raises Refused for a saved one that
        would hear at once.
        """
        domain = self._store.require(key)
        if not is_made_by_us(domain) or not can_be_heard(key.connection):
            yield
            return
        if domain.state is DomainState.SAVED:
            async with self._going_on(domain):
                yield
            return
        server = await self.server_for(domain, domain.name)
        hears = await self._may_hear(domain, server)
        try:
            await self._put(domain, server, hears=hears)
            yield
            if hears:
                await asyncio.shield(self._deafen(domain))
        finally:
            if server:
                await asyncio.shield(self._put(domain, ""))
        if hears:
            await self._switch_on(key)
        now = self._store.get(key)
        if server and now and (now.config.muted or domain.config.muted):
            # Another program may have set it while the domain started, and the server may know QEMU by another name.
            try:
                await self.mute(key, now.config.muted)
            except QubesManagerError as error:
                log.warning("%s", error)

    async def server_for(self, domain: Domain, name: str) -> str:
        """The address of what plays a domain that starts as *name* with *domain*'s settings, muted there if it is.

        Empty where it is not to be heard, and where nothing plays it.
        """
        uri = domain.key.connection
        address = sound_server.server_address()
        if not (can_be_heard(uri) and is_heard(domain) and await sound_server.answers(address)):
            return ""
        try:
            if not await self._emulator_can_play(uri):
                return ""
            # Before it starts, so that not even its first sound is heard.
            await sound_server.set_muted(address, name, domain.config.muted)
        except QubesManagerError as error:
            log.warning("“%s” starts without sound: %s", name, error)
            return ""
        return address

    async def mute(self, key: DomainKey, muted: bool) -> None:
        """Let nothing be heard of a domain that runs, or let it be heard again; raises HostCallFailed."""
        domain = self._store.require(key)
        device = domain.config.sound
        if not (domain.state.is_active and device and device.backend == PLAYING):
            return
        try:
            await sound_server.set_muted(device.server, domain.name, muted)
        except HostCallFailed as error:
            what = "muted" if muted else "heard"
            raise HostCallFailed(
                f"“{domain.name}” is {what} from its next start on, but not now: {error}", error.details
            ) from error

    async def _emulator_can_play(self, uri: str) -> bool:
        if uri not in self._can_play:
            emulator = await self._hosts.connection(uri).call(
                "read the host’s capabilities", sound_server.emulator_path
            )
            self._can_play[uri] = await asyncio.to_thread(sound_server.can_play, emulator)
        return self._can_play[uri]

    # Hearing.

    @contextlib.asynccontextmanager
    async def _going_on(self, domain: Domain) -> AsyncIterator[None]:
        """Let a saved domain go on in the block; it has what it was saved with, and what it may hear is off again."""
        connection = self._hosts.connection(domain.key.connection)
        hears = await goes_on_hearing(connection, domain.key.uuid, domain.name)
        if hears and not await self._microphones.prepare(domain, domain.name):
            # To kill it afterwards would lose what was saved.
            raise Refused(
                f"“{domain.name}” was saved with a way to hear, and might hear at once: the sound server of this "
                "machine does not answer, or does not keep who may not record. Start that, or discard the saved state "
                "(“Discard saved state”, qvm-kill --discard-saved)"
            )
        yield
        if hears:
            await asyncio.shield(self._deafen(domain))
            await self._hosts.refresh(domain.key)
            await self._switch_on(domain.key)

    async def _may_hear(self, domain: Domain, server: str) -> bool:
        """Whether a domain gets a way to hear from its start on, by which it hears nothing yet."""
        if not _assigned(domain):
            return False
        if server and await self._microphones.prepare(domain, domain.name):
            return True
        reason = "the sound server does not keep who may not record" if server else "it has no sound (audiovm)"
        log.warning("“%s” starts without the microphone that is assigned to it: %s", domain.name, reason)
        return False

    async def _deafen(self, domain: Domain) -> None:
        """Let a domain that has just started hear nothing; where that is not sure it does not run on.

        Raises HostCallFailed then.
        """
        try:
            await self._microphones.settle(domain.key)
        except Exception as error:
            details = str(getattr(error, "details", error))
            try:
                await actions_on(self._hosts, domain).kill()
            except QubesManagerError as worse:
                raise HostCallFailed(
                    f"“{domain.name}” may hear what is said, and cannot be killed: {worse}. Pull the microphone out",
                    details,
                ) from error
            with contextlib.suppress(QubesManagerError):
                await self._hosts.refresh(domain.key)
            raise HostCallFailed(
                f"“{domain.name}” was killed at its start, as it might have heard what is said: {error}", details
            ) from error

    async def _switch_on(self, key: DomainKey) -> None:
        """Let a domain that has started hear if it is to from its start on."""
        domain = self._store.get(key)
        assignment = _assigned(domain) if domain else None
        if domain and assignment and assignment.mode is Mode.AUTO:
            try:
                await self._microphones.give(key, Microphone(), dict(assignment.options))
            except QubesManagerError as error:
                log.warning("“%s” hears nothing, though the microphone is assigned to it: %s", domain.name, error)

    async def _put(self, domain: Domain, server: str, *, hears: bool = False) -> None:
        """Write what the next start plays to; the device is there as long as the domain is to be heard."""
        heard = is_heard(domain)

        def write(document: "DomainEdit") -> None:
            if not heard:
                document.take_sound()
                return
            document.put_sound(server)
            if hears:
                document.put_microphone()
            else:
                document.take_microphone()

        try:
            await actions_on(self._hosts, domain).edit_config(write)
        except QubesManagerError as error:
            log.warning("the sound of “%s” was not set: %s", domain.name, error)
            return
        await self._hosts.refresh(domain.key)


def _assigned(domain: Domain) -> Assignment | None:
    """The assignment by which a domain may hear; None without one, and for what is never to get a microphone."""
    microphone = Microphone()
    if denied_by(domain.config.devices_denied, microphone.interfaces):
        return None
    return assignment_for(domain.config.assignments, microphone)
