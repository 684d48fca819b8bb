"""Letting domains be heard: the device, the sound server that plays it, and mute."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from qubes_manager.backend.host import sound_server
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import HostCallFailed, QubesManagerError
from qubes_manager.core.sound import PLAYING, can_be_heard, is_heard
from qubes_manager.services.domains.port_upgrade import is_made_by_us
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore

log = logging.getLogger(__name__)


class Sound:
    """Gives domains of ours their sound at their starts.

    At rest they play to nobody, because QEMU does not start where its sound server is gone (7.2: “Failed to initialize
    PA context”): whoever else starts one, on whatever screen or none, gets it without sound.
    """

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        self._hosts = hosts
        self._store = store
        # Whether a connection's QEMU can play: it is asked once.
        self._can_play: dict[str, bool] = {}

    @contextlib.asynccontextmanager
    async def playing(self, key: DomainKey) -> AsyncIterator[None]:
        """Let a domain that starts in the block be heard, if it is to be; where that fails it starts without sound."""
        domain = self._store.require(key)
        if domain.state is DomainState.SAVED or not is_made_by_us(domain) or not can_be_heard(key.connection):
            yield
            return
        server = await self.server_for(domain, domain.name)
        try:
            await self._put(domain, server)
            yield
        finally:
            if server:
                await asyncio.shield(self._put(domain, ""))
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

    async def _put(self, domain: Domain, server: str) -> None:
        """Write what the next start plays to; the device is there as long as the domain is to be heard."""
        heard = is_heard(domain)
        try:
            await actions_on(self._hosts, domain).edit_config(
                lambda document: document.put_sound(server) if heard else document.take_sound()
            )
        except QubesManagerError as error:
            log.warning("the sound of “%s” was not set: %s", domain.name, error)
            return
        await self._hosts.refresh(domain.key)
