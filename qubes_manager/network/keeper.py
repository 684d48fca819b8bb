"""Looks after a domain's network from its start to its end, in a process of its own beside QEMU.

It is this machine's side: it runs the way out and what gives the guest its address, follows this machine's addresses,
looks names up, and changes the rules when it is asked. Nothing goes through before the first rules are in effect; when
it ends, for whatever reason, the way out ends with it, and the rules stay.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from pathlib import Path

from qubes_manager.core.background import Background
from qubes_manager.core.errors import BadInput, QubesManagerError
from qubes_manager.core.firewall.control import (
    Failed,
    NetworkState,
    SetFirewall,
    SetVia,
    read_rules,
    rules_text,
    state_line,
)
from qubes_manager.core.firewall.firewall import Firewall, parse_firewall
from qubes_manager.core.firewall.rules import Action
from qubes_manager.network.addresses import guest_network
from qubes_manager.network.control_server import ControlServer
from qubes_manager.network.dhcp import dhcp_command, filter_path
from qubes_manager.network.dns_relay import DnsRelay
from qubes_manager.network.emulator import LAST
from qubes_manager.network.host import HostChanges, HostNetwork, end_with_parent, read_host_network
from qubes_manager.network.inside import PATH, Inside
from qubes_manager.network.log import NetworkLog
from qubes_manager.network.lookups import here, through
from qubes_manager.network.names import Names
from qubes_manager.network.ruleset import (
    MAX_GENERATION,
    REFUSED,
    Surroundings,
    counter,
    first_rules,
    ruleset,
    table,
    without_table,
)
from qubes_manager.network.shared import forget_holder
from qubes_manager.network.way import NOWHERE, Way

# Seconds between two looks at what was refused, and a pause before what has ended is started anew.
_LOOK, _PAUSE = 10.0, 2.0
# Seconds that names may take which are refused; then the domain is let out, and the names stand beside their rules.
_NAMES_SECONDS = 10.0
_SOCKETS = 4


def run(folder: Path, uuid: str, rules: str, qemu: int, holder: int, namespace: socket.socket, cards: int) -> None:
    """Look after the namespace that *holder* is in until the process behind the descriptor *qemu* ends.

    Of several *cards* the first is connected.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    log = NetworkLog(folder / f"{uuid}.log")
    if cards > 1:
        log(f"the domain has {cards} cards with user networking: the first is connected, the others lead nowhere")
    try:
        # No end of threads is waited for, as asyncio.run does: one may look a name up for a minute.
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        loop.run_until_complete(_keep(folder, uuid, rules, qemu, holder, namespace, log))
    except Exception as error:
        log(f"the network has ended: {type(error).__name__}: {error}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(holder, signal.SIGKILL)
        os._exit(0)


async def _keep(
    folder: Path, uuid: str, rules: str, qemu: int, holder: int, namespace: socket.socket, log: NetworkLog
) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(qemu, ended.set)
    namespace.setblocking(True)
    word, files, _flags, _sender = await asyncio.to_thread(socket.recv_fds, namespace, 1000, _SOCKETS)
    if len(files) != _SOCKETS:
        raise OSError(word.decode("utf-8", "replace"))
    keeper = Keeper(folder, uuid, holder, log)
    begun = asyncio.create_task(keeper.begin(rules, [socket.socket(fileno=file) for file in files]))
    try:
        waiting = asyncio.create_task(ended.wait())
        await asyncio.wait((begun, waiting), return_when=asyncio.FIRST_COMPLETED)
        if begun.done():
            await begun
        await waiting
    finally:
        await keeper.end()


class Keeper:
    """One domain's network: its rules, and all that is made of them."""

    def __init__(self, folder: Path, uuid: str, holder: int, log: NetworkLog) -> None:
        self._folder, self._uuid = folder, uuid
        self._network = guest_network(uuid)
        self._inside = Inside(holder)
        self._log = log
        self._background = Background(lambda error: log(f"{type(error).__name__}: {error}"))
        self._way = Way(folder, uuid, self._inside, log)
        # Set when what the rules are made with may have changed: this machine's addresses, those of names.
        self._stale = asyncio.Event()
        self._here = here()
        self._names = Names(self._here, self._stale.set)
        self._server = ControlServer(folder, uuid, self._answer)
        self._firewall = Firewall(())
        self._host = HostNetwork()
        self._is_open = False
        self._generation = 0
        # When the rules that hold were made, and whether they have changed since they were looked at.
        self._made = 0.0
        self._changed = asyncio.Event()
        self._applying = asyncio.Lock()
        self._before: dict[str, tuple[int, int]] = {}
        self._seen: dict[tuple[str, str, int], float] = {}

    async def begin(self, rules: str, dns: list[socket.socket]) -> None:
        """Put the first rules into effect, then let the domain out; raises OSError."""
        now = time.time()
        try:
            self._firewall, via = read_rules(rules, now)
            is_known = True
        except BadInput as error:
            self._log(f"nothing is let through: the rules in the domain’s XML cannot be read: {error}")
            via, is_known = "", False
        # It is listened for before it is read, so that no change is missed.
        HostChanges(self._stale.set)
        self._host = await read_host_network()
        await self._inside.put_rules(first_rules(self._network))
        if is_known:
            await self._lead(via)
        await self._apply(self._firewall)
        DnsRelay(dns).start()
        self._background.spawn(self._names.run())
        self._background.spawn(self._give_addresses())
        self._background.spawn(self._stay_right())
        self._background.spawn(self._watch())
        await self._server.start()
        await self._open()

    async def _open(self) -> None:
        """Let the domain out, when it is known what its rules refuse by name."""
        # Another domain is not asked before the way to it is open.
        if not self._way.via and any(rule.name and rule.action is Action.DROP for rule in self._firewall.rules):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_NAMES_SECONDS):
                    await self._names.looked_up.wait()
            await self._apply()
        self._is_open = True
        await self._way.open(self._host.versions)

    async def end(self) -> None:
        """End all that was begun."""
        self._server.close()
        await self._way.close()
        await self._background.close()
        forget_holder(str(self._folder), self._uuid, self._inside.holder)

    async def _answer(self, question: object) -> str:
        """What is said to a question; the state is said to each that was done."""
        try:
            if isinstance(question, SetFirewall):
                firewall = parse_firewall(question.rules, time.time(), home=question.home)
                await self._apply(firewall)
                self._log(f"{len(firewall.rules)} rules hold now; home network {'on' if firewall.home else 'off'}")
            if isinstance(question, SetVia) and question.via != self._way.via:
                await self._lead(question.via)
                await self._apply()
                whose = f"that of the domain {question.via}" if question.via else "this machine’s"
                self._log(f"the network is {whose} now")
            return state_line(await self._state())
        except (OSError, QubesManagerError) as error:
            return Failed(str(error)).to_json()

    async def _lead(self, via: str) -> None:
        """Let the network be that of another domain, or this machine's for an empty *via*; raises OSError."""
        try:
            await self._way.lead(via)
        finally:
            self._note()
        self._names.ask(through(self._inside) if via else self._here)

    def _note(self) -> None:
        """Note what holds, for when the domain is saved and goes on."""
        place = self._folder / f"{self._uuid}{LAST}"
        try:
            new = place.with_suffix(f"{LAST}.new")
            # Nobody reads rules in nothing: who goes on from there is let nowhere until it is said where to.
            new.write_text("" if self._way.via is NOWHERE else rules_text(self._firewall, self._way.via), "utf-8")
            new.replace(place)
        except OSError as error:
            self._log(f"what holds cannot be noted: {error}")
            with contextlib.suppress(OSError):
                place.unlink(missing_ok=True)

    async def _state(self) -> NetworkState:
        counts = await self._counts()
        rules = self._firewall.rules
        return NetworkState(
            self._way.trouble,
            self._firewall.lines,
            self._firewall.home,
            tuple(counts.get(rule.bare, (0, 0)) for rule in rules),
            counts.get(REFUSED, (0, 0)),
            tuple(text for pair in self._names.troubles.items() for text in pair),
            self._way.via or "",
        )

    async def _apply(self, wanted: Firewall | None = None) -> None:
        """Let these rules hold, whole, or those before; connections that they forbid are cut. Raises OSError.

        Without any, those that hold are made anew, since what they are made with has changed.
        """
        async with self._applying:
            firewall = self._firewall if wanted is None else wanted
            counts = await self._counts() if self._generation else {}
            generation = self._generation % MAX_GENERATION + 1
            around = Surroundings(
                self._host.addresses, self._names.addresses, generation, time.time(), self._host.links
            )
            try:
                await self._inside.put_rules(*ruleset(firewall, self._network, around, self._generation))
            except OSError:
                with contextlib.suppress(OSError):
                    await self._inside.put_rules(without_table(generation))
                raise
            kept = {REFUSED, *(rule.bare for rule in firewall.rules)}
            self._before = {text: count for text, count in counts.items() if text in kept}
            self._generation, self._firewall = generation, firewall
            self._made = around.now
            self._note()
            self._names.want(firewall.names)
            self._changed.set()

    async def _counts(self) -> dict[str, tuple[int, int]]:
        """What went through each rule since the domain's start, by the rule's own text."""
        now = await self._inside.counters(table(self._generation))
        texts = {counter(number): rule.bare for number, rule in enumerate(self._firewall.rules)}
        total = dict(self._before)
        for name, (packets, size) in now.items():
            text = texts.get(name, name)
            before = total.get(text, (0, 0))
            total[text] = (before[0] + packets, before[1] + size)
        return total

    async def _stay_right(self) -> None:
        """Make the rules anew when what they are made with has changed; what fails is tried again."""
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                self._host = await read_host_network()
                await self._apply()
                if self._is_open:
                    await self._way.open(self._host.versions)
            except (OSError, ValueError) as error:
                self._log(f"the rules are not as they should be by now, and are made again: {error}")
                self._stale.set()
                await asyncio.sleep(_PAUSE)

    async def _give_addresses(self) -> None:
        """Keep what gives the guest its address running."""
        while True:
            try:
                ended = f"ended with code {await self._give_addresses_once()}"
            except OSError as error:
                ended = f"cannot be started ({error})"
            self._log(f"what gives addresses {ended}; it is started anew")
            await asyncio.sleep(_PAUSE)

    async def _give_addresses_once(self) -> int:
        """Run it until it ends; raises OSError."""
        with filter_path(self._folder).open("rb") as seccomp:
            process = await asyncio.create_subprocess_exec(
                *self._inside.command(*dhcp_command(self._network, seccomp.fileno())),
                pass_fds=[seccomp.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PATH": PATH},
                preexec_fn=end_with_parent,
            )
        try:
            return await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    async def _watch(self) -> None:
        """Take rules out whose time is over, and log what was refused."""
        last = 0
        while True:
            now = time.time()
            due = [rule.expire - now for rule in self._firewall.rules if rule.expire]
            is_due = [rule.expire for rule in self._firewall.rules if rule.expire and self._made <= rule.expire <= now]
            try:
                if is_due:
                    await self._apply()
                refused = (await self._inside.counters(table(self._generation))).get(REFUSED, (0, 0))[0]
                if refused != last:
                    last = refused
                    self._tell_refused(await self._inside.refused(table(self._generation)))
            except OSError as error:
                self._log(str(error))
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min([_LOOK, *(wait + 0.05 for wait in due if wait > 0)])):
                    await self._changed.wait()

    def _tell_refused(self, places: list[tuple[str, str, int]]) -> None:
        """A line for each place that was not said in the last minutes."""
        now = time.monotonic()
        self._seen = {place: at for place, at in self._seen.items() if now - at < 300}
        new = [place for place in places if place not in self._seen]
        self._seen |= dict.fromkeys(new, now)
        for address, protocol, port in new[:20]:
            self._log(f"refused: {protocol} {address} port {port}")
        if len(new) > 20:
            self._log(f"refused: {len(new) - 20} other places")
