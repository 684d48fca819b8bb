"""Starting, pausing and ending domains."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import PurePath
from typing import Any

from qubes_manager.backend.domains.image_locks import find_holders, is_lock_failure
from qubes_manager.backend.storage.secrets import drop_secret, hold_secret
from qubes_manager.core.domain import Activity, Domain, DomainClass, DomainKey, DomainState
from qubes_manager.core.errors import HostCallFailed, HostUnreachable, QubesManagerError, Refused, TimedOut
from qubes_manager.core.events import DomainEvent, DomainEventKind, Event, HostEvent, HostEventKind
from qubes_manager.core.pauses import Pause
from qubes_manager.core.volume_use import are_known, image_name
from qubes_manager.core.volumes import chain
from qubes_manager.services.devices.assigned import AssignedDevices, requires_any
from qubes_manager.services.domains.console_binding import bind_console_log
from qubes_manager.services.domains.port_upgrade import add_missing_ports, is_made_by_us
from qubes_manager.services.domains.sound import Sound
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore, refuse_unfinished
from qubes_manager.services.network.firewalls import Firewalls
from qubes_manager.services.network.isolation import Isolation
from qubes_manager.services.network.providers import refuse_loop, way_out
from qubes_manager.services.volumes.template_roots import TemplateRoots

log = logging.getLogger(__name__)
# What libvirt says of a throw-away disk's file that a crash of the host left (libvirt issue 684).
_LEFTOVER = "Overlay file"
_WRONG_PASSPHRASE = "Invalid password"  # noqa: S105 - libvirt says so
SHUTDOWN_TIMEOUT = 60.0
# Seconds in which a write for which there is still no room stops a domain again.
_STOPS_AGAIN = 0.5
# Seconds that a template may take to tell its applications before it shuts down.
_LAST_WORDS = 30.0


class ShutdownTimedOut(TimedOut):
    """A guest did not shut down in its time; ``key`` is its domain."""

    def __init__(self, domain: Domain, timeout: float) -> None:
        super().__init__(f"“{domain.name}” has not shut down within {timeout:.0f} s; wait longer, or kill it")
        self.key = domain.key


class PassphraseNeeded(QubesManagerError):
    """A domain's private volume is encrypted, and the passphrase was not given, or not the right one."""

    def __init__(self, domain: Domain, *, wrong: bool) -> None:
        reason = "that passphrase is wrong" if wrong else "its private volume is encrypted: the passphrase is needed"
        super().__init__(f"cannot start “{domain.name}”: {reason}")
        self.key = domain.key


class Lifecycle:
    """The power actions. Each returns when libvirt has done it; rows change by libvirt's events.

    *before_shutdown* is called with a template before it is told to shut down: what was installed in it is in its
    menu then.
    """

    def __init__(
        self,
        hosts: Hosts,
        store: DomainStore,
        roots: TemplateRoots,
        sound: Sound,
        isolation: Isolation,
        firewalls: Firewalls,
        assigned: AssignedDevices,
        before_shutdown: Callable[[DomainKey], Awaitable[object]],
    ) -> None:
        self._hosts = hosts
        self._store = store
        self._roots = roots
        self._sound = sound
        self._isolation = isolation
        self._firewalls = firewalls
        self._assigned = assigned
        self._before_shutdown = before_shutdown
        self._starting_network: defaultdict[DomainKey, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def start(self, key: DomainKey, passphrase: str = "") -> bool:
        """Start a halted domain, or let a paused one go on; one that runs by now is left alone.

        Returns whether it was halted until then, so that who ends it again ends nothing that others have started.
        Raises PassphraseNeeded, Refused, HostCallFailed.
        """
        # Another program may be starting it just now, in which it is paused for a moment.
        await self._hosts.refresh(key)
        domain = self._store.require(key)
        if domain.state in (DomainState.PAUSED, DomainState.SUSPENDED):
            await self._resume(domain)
            return False
        if domain.state.is_active:
            return False
        with self._store.activity(key, Activity.STARTING):
            await self._start(key, passphrase)
        return True

    async def start_network(self, domain: Domain) -> None:
        """Start the domains that *domain*'s network goes through, where they do not run, and make its network filter.

        Raises Refused where one is gone or cannot be started, which says why.
        """
        if note := await self._firewalls.prepare(domain):
            log.warning("%s", note)
        way = list(way_out(self._store, domain))
        if way:
            refuse_loop(self._store, domain, way[0])
        elif domain.config.via:
            raise Refused(
                f"the network of “{domain.name}” is to be that of “{domain.config.network}”, which is gone: give it "
                "another one (netvm)"
            )
        # The furthest first: what the others need as they start is there.
        for provider in reversed(way):
            try:
                # Those that have the same network are started at once, more often than not.
                async with self._starting_network[provider.key]:
                    await self.start(provider.key)
            except QubesManagerError as error:
                # Another program may have been sooner.
                await self._hosts.refresh(provider.key)
                if self._store.require(provider.key).state.is_active:
                    continue
                raise Refused(
                    f"“{domain.name}” has the network of “{provider.name}”, which cannot be started: {error}",
                    error.details,
                ) from error

    async def _resume(self, domain: Domain) -> None:
        """Let it go on; raises Refused when what had stopped it does so again at once, or is not over."""
        if domain.pause is Pause.STARTING:
            return
        if domain.pause and domain.pause.is_passing:
            raise Refused(f"“{domain.name}” stands still: {domain.pause.value}; wait until that is over")
        actions = actions_on(self._hosts, domain)
        await actions.resume()
        stopped = await actions.pauses_within(_STOPS_AGAIN)
        await self._hosts.refresh(domain.key)
        now = self._store.get(domain.key)
        if stopped and now and now.state is DomainState.PAUSED:
            raise Refused(f"“{domain.name}” paused again at once: {now.reason}; put that right, then resume it")

    async def _start(self, key: DomainKey, passphrase: str = "") -> None:
        """Prepare the disks of a halted domain and start it."""
        domain = self._store.require(key)
        refuse_unfinished(domain)
        is_encrypted = any(d.encrypted and d.serial == "private" for d in domain.config.disks)
        if is_encrypted and not passphrase:
            raise PassphraseNeeded(domain, wrong=False)
        await bind_console_log(self._hosts, self._store, domain)
        await add_missing_ports(self._hosts, domain)
        if is_made_by_us(domain):
            await self._isolation.renew(domain)
        await self._assigned.require(domain)
        await self.start_network(self._store.require(key))
        beginning = self._begin(domain, passphrase, is_encrypted=is_encrypted)
        if requires_any(domain) and domain.state is not DomainState.SAVED:
            await self._wholly(beginning, key)
        else:
            await beginning
        if domain.state is DomainState.SAVED:
            # It went on with the rules that it was saved with, and with the devices.
            await self._let_rules_hold(key)
        else:
            await self._give_devices(key)

    async def _wholly(self, beginning: Coroutine[Any, Any, None], key: DomainKey) -> None:
        """Start a domain that requires devices; where nobody waits for it any more it does not run without them.

        libvirt starts it all the same when the call is given up.
        """
        task = asyncio.ensure_future(beginning)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            with contextlib.suppress(QubesManagerError):
                await task
            with contextlib.suppress(QubesManagerError):
                await asyncio.shield(self.kill(key))
            raise

    async def _begin(self, domain: Domain, passphrase: str, *, is_encrypted: bool) -> None:
        """Let libvirt start a domain for which all is ready."""
        key = domain.key
        devices = self._assigned.going_on(domain) if domain.state is DomainState.SAVED else contextlib.nullcontext()
        async with self._sound.playing(key), self._roots.ready_to_start(key), devices:
            start = actions_on(self._hosts, domain).start
            try:
                if is_encrypted:
                    await self._start_encrypted(domain, passphrase, start)
                else:
                    await self._start_over_leftovers(domain, start)
            except QubesManagerError as error:
                # While it was tried it may have been seen as paused.
                with contextlib.suppress(QubesManagerError):
                    await self._hosts.refresh(key)
                if isinstance(error, HostCallFailed):
                    raise await self._explained(domain, error) from error
                raise
        await self._hosts.refresh(key)

    async def _give_devices(self, key: DomainKey) -> None:
        """Give a domain that has started what is assigned to it; without what it requires it does not run."""
        try:
            notes = await self._assigned.attach_at_start(key)
        except BaseException:
            # Also where nobody waits for it any more, as in a question that is left open.
            if requires_any(self._store.require(key)):
                with contextlib.suppress(QubesManagerError):
                    await asyncio.shield(self.kill(key))
            raise
        for note in notes:
            log.warning("%s", note)

    async def _let_rules_hold(self, key: DomainKey) -> None:
        try:
            domain = self._store.require(key)
            led = await self._firewalls.lead(key, domain.config.via) if domain.config.is_isolated else ""
            for note in (led, await self._firewalls.reload(key)):
                if note:
                    log.warning("%s", note)
        except QubesManagerError as error:
            log.warning("the rules of its network were not set: %s", error)

    async def _explained(self, domain: Domain, error: HostCallFailed) -> HostCallFailed:
        """What libvirt said of a start that failed, with what people need to know to put it right."""
        if is_lock_failure(error.details):
            return HostCallFailed(f"cannot start “{domain.name}”: {await self._who_holds(domain)}", error.details)
        if domain.state is DomainState.SAVED:
            how = (
                "if its saved state is of no use any more, discard it (“Discard saved state”, qvm-kill --discard-saved)"
            )
            return HostCallFailed(f"{error}; {how}", error.details)
        return error

    async def _who_holds(self, domain: Domain) -> str:
        """Who has open what a domain's disks are made of, in words."""
        connection = self._hosts.connection(domain.key.connection)
        await self._hosts.refresh(domain.key)
        domain = self._store.require(domain.key)
        template = self._store.template_of(domain)
        records = (*domain.config.volumes, *(template.config.volumes if template else ()))
        disks = [PurePath(disk.source) for disk in domain.config.disks if disk.source]
        # What stands on each other lies in one pool.
        below = {str(disk.with_name(v.name)) for disk in disks for v in chain(image_name(disk.name), records)}
        holders = await find_holders(connection, {*map(str, disks), *below}, domain.key.uuid)
        if not holders:
            return "another program on its host has one of its disks open"
        return "; ".join(f"“{name}” has {file} open" for name, file in sorted(holders.items())) + ": end that first"

    async def _start_encrypted(self, domain: Domain, passphrase: str, start: Callable[[], Awaitable[None]]) -> None:
        connection = self._hosts.connection(domain.key.connection)
        await hold_secret(connection, domain.key.uuid, passphrase)
        try:
            await self._start_over_leftovers(domain, start)
        except HostCallFailed as error:
            if _WRONG_PASSPHRASE in error.details:
                raise PassphraseNeeded(domain, wrong=True) from error
            raise
        finally:
            # QEMU has read it; whoever starts the domain next is asked anew.
            await asyncio.shield(drop_secret(connection, domain.key.uuid))

    async def _start_over_leftovers(self, domain: Domain, start: Callable[[], Awaitable[None]]) -> None:
        """Start; when a crash of the host left throw-away files that libvirt will not overwrite, clear them first."""
        try:
            await start()
        except HostCallFailed as error:
            if _LEFTOVER not in error.details or not are_known(self._store.of_host(domain.key.connection)):
                raise
            cleared = await self._roots.clear_leftovers(domain)
            log.info("cleared what a crash left of “%s”: %s", domain.name, ", ".join(cleared))
            await start()

    async def _settle(self, key: DomainKey) -> None:
        """Decide about a template's run when it has just ended here."""
        domain = self._store.get(key)
        if domain and domain.klass is DomainClass.TEMPLATE:
            await self._roots.settle(key)

    async def pause(self, key: DomainKey) -> None:
        """Stop the domain's CPUs."""
        await actions_on(self._hosts, self._store.require(key)).pause()
        await self._hosts.refresh(key)

    async def suspend(self, key: DomainKey) -> None:
        """Ask the guest to suspend to RAM."""
        await actions_on(self._hosts, self._store.require(key)).suspend()

    async def discard_saved(self, key: DomainKey) -> None:
        """Delete a domain's saved state, as in a power cut; what a template's run had changed goes with it."""
        await self._roots.discard_saved(key)

    async def kill(self, key: DomainKey) -> None:
        """End the domain at once; what it had not saved is lost."""
        with self._store.activity(key, Activity.KILLING):
            await actions_on(self._hosts, self._store.require(key)).kill()
            await self._hosts.refresh(key)
        await self._settle(key)

    async def shutdown(self, key: DomainKey, timeout: float = SHUTDOWN_TIMEOUT) -> None:
        """Ask the guest to shut down and wait for it, *timeout* seconds; raises ShutdownTimedOut."""
        with self._store.activity(key, Activity.HALTING):
            await self._shut_down(key, timeout)
        await self._settle(key)

    async def request_shutdown(self, key: DomainKey) -> None:
        """Ask the guest to shut down, without waiting for it."""
        domain = self._store.require(key)
        await self._hear_last_words(domain)
        await actions_on(self._hosts, domain).request_shutdown()

    async def _hear_last_words(self, domain: Domain) -> None:
        """Let a template tell its applications; a guest that hangs keeps nobody from shutting it down."""
        if domain.klass is DomainClass.TEMPLATE and domain.config.gui_port:
            with contextlib.suppress(TimeoutError, QubesManagerError):
                async with asyncio.timeout(_LAST_WORDS):
                    await self._before_shutdown(domain.key)

    async def wait_halted(self, key: DomainKey, timeout: float = SHUTDOWN_TIMEOUT) -> None:
        """Wait until a domain that was asked to shut down has done so; raises ShutdownTimedOut."""
        domain = self._store.require(key)
        with (
            self._store.activity(key, Activity.HALTING),
            self._hosts.connection(key.connection).listen() as events,
        ):
            await self._hosts.refresh(key)
            now = self._store.get(key)
            if now and now.state.is_active:
                await self._wait_stopped(domain, events, timeout)
                await self._hosts.refresh(key)
        await self._settle(key)

    async def restart(self, key: DomainKey, timeout: float = SHUTDOWN_TIMEOUT) -> None:
        """Shut the domain down and start it again, so that it comes up with its present configuration."""
        with self._store.activity(key, Activity.RESTARTING):
            domain = self._store.require(key)
            if any(d.encrypted for d in domain.config.disks):
                raise Refused(f"“{domain.name}” is encrypted: shut it down, and start it with its passphrase")
            await self._shut_down(key, timeout)
            await self._hosts.refresh(key)
            await self._start(key)

    async def _shut_down(self, key: DomainKey, timeout: float) -> None:
        domain = self._store.require(key)
        await self._hear_last_words(domain)
        with self._hosts.connection(key.connection).listen() as events:
            await actions_on(self._hosts, domain).request_shutdown()
            await self._hosts.refresh(key)
            # One that had ended before gives no event any more.
            now = self._store.get(key)
            if now and now.state.is_active:
                await self._wait_stopped(domain, events, timeout)
        await self._hosts.refresh(key)

    async def _wait_stopped(self, domain: Domain, events: "asyncio.Queue[Event]", timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                while True:
                    match await events.get():
                        case DomainEvent(uuid=uuid, kind=DomainEventKind.STOPPED) if uuid == domain.key.uuid:
                            return
                        case HostEvent(kind=HostEventKind.CLOSED):
                            raise HostUnreachable(f"the connection was lost while “{domain.name}” was shutting down")
        except TimeoutError:
            raise ShutdownTimedOut(domain, timeout) from None
