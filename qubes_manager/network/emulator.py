"""What libvirt starts in QEMU's place: it connects the domain's network card to a namespace of its own, then is QEMU.

The process id and the descriptors that libvirt knows stay QEMU's. QEMU itself is in an empty network namespace: what it
would listen on or connect to is nobody's. Where a domain has no user networking, and where libvirt asks what QEMU can
do, there is nothing to be kept apart, and QEMU is started as it is.
"""

import os
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

from qubes_manager.network import netdevs
from qubes_manager.network.namespaces import NEW_NET, enter, enter_new, enter_new_network, open_tap
from qubes_manager.network.shared import shared_users

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The variable in which the domain's XML tells its rules.
RULES = "QUBES_MANAGER_FIREWALL"
# What asks whether all of this can be done here.
CHECK = "--check-isolation"
UPLINK = "uplink"
# By which descriptor a holder holds the namespace that others are connected to.
DOWNSTREAM_NAMESPACE = 3
# Waits for the end of its keeper, who alone writes there, and nothing. QEMU's tap keeps the namespace longer than that:
# a cable to another domain must not be left in it.
_HOLD = f"read -r nothing; exec ip link del {UPLINK}"
# How the name of a file ends in which a keeper notes what holds.
LAST = ".rules"
_MAX_ERROR = 500


def main(qemu: str, folder: str, words: "Sequence[str]") -> NoReturn:
    """Become the program at the path *qemu*; *folder* is where the keepers of all domains have their files."""
    if words == [CHECK]:
        from qubes_manager.network.check import check

        sys.exit(check(folder))
    rules = os.environ.pop(RULES, "")
    uuid = netdevs.domain_uuid(words)
    if netdevs.goes_on(words):
        # The variable is that of its start: another domain may have become its network since.
        rules = last_rules(folder, uuid)
    cards = netdevs.user_netdevs(words)
    if not cards:
        os.execv(qemu, [qemu, *words])  # noqa: S606 - libvirt's own words
    try:
        taps = _connect(folder, uuid, rules, list(cards.values()))
        enter_new(as_root=False)
    except OSError as error:
        sys.exit(f"qubes-manager: this domain's network cannot be kept apart here: {error}")
    for tap in taps:
        os.set_inheritable(tap, True)
    placed = [(place, name, tap) for (place, name), tap in zip(cards.items(), taps, strict=True)]
    os.execv(qemu, [qemu, *netdevs.with_taps(words, placed)])  # noqa: S606 - libvirt's own words


def last_rules(folder: str, uuid: str) -> str:
    """What held for a domain when it was saved, which may have changed since it was started; empty when not known.

    Nothing is let through then, and nowhere, until the manager says what is to hold.
    """
    try:
        with open(f"{folder}/{uuid}{LAST}") as file:  # noqa: PTH123 - pathlib takes 5 ms of a start to load
            return file.read()
    except (OSError, ValueError):
        return ""


def _connect(folder: str, uuid: str, rules: str, cards: list[str]) -> list[int]:
    """Start what keeps the namespace, and return the descriptors of the cards; raises OSError."""
    ours, theirs = socket.socketpair()
    # libvirt watches this process; what outlives it must be nobody's child.
    if not (middle := os.fork()):
        os.setsid()
        if not os.fork():
            ours.close()
            _keep(folder, uuid, rules, cards, theirs)
        os._exit(0)
    theirs.close()
    os.waitpid(middle, 0)
    word, taps, _flags, _sender = socket.recv_fds(ours, _MAX_ERROR, len(cards))
    if len(taps) != len(cards):
        raise OSError(word.decode("utf-8", "replace") or "its keeper has ended")
    return list(taps)


def _keep(folder: str, uuid: str, rules: str, cards: list[str], emulator: socket.socket) -> NoReturn:
    """Be the keeper: first make the namespace, in a process that then does nothing but hold it."""
    # The parent may have ended by now: its number is in the socket.
    qemu = _peer(emulator)
    pidfd = os.pidfd_open(qemu)
    to_keeper, to_holder = socket.socketpair()
    holds, held = os.pipe()
    holder = os.fork()
    if not holder:
        to_keeper.close()
        os.close(held)
        _hold(folder, uuid, cards, emulator, to_holder, holds)
    for file in (emulator, to_holder):
        file.close()
    os.close(holds)
    _let_go_of_the_rest({pidfd, to_keeper.fileno(), held})
    # What it needs takes longer to load than QEMU may wait.
    from pathlib import Path

    from qubes_manager.network.keeper import run

    run(Path(folder), uuid, rules, pidfd, holder, to_keeper, len([c for c in cards if c != netdevs.DOWNSTREAM]))
    os._exit(0)


def _hold(
    folder: str, uuid: str, cards: list[str], emulator: socket.socket, keeper: socket.socket, holds: int
) -> NoReturn:
    """Make the namespaces, hand their parts out, and stay in them until the keeper ends."""
    try:
        with shared_users(folder, uuid):
            enter_new(as_root=True)
        taps, downstream = _open_cards(cards)
        socket.send_fds(emulator, [b"taps"], taps)
    except OSError as error:
        emulator.send(str(error).encode()[:_MAX_ERROR])
        os._exit(1)
    emulator.close()
    for tap in taps:
        os.close(tap)
    # QEMU waits no longer: what is loaded from here on delays nobody.
    import signal

    from qubes_manager.network.addresses import guest_network
    from qubes_manager.network.downstream import set_up_downstream
    from qubes_manager.network.inside import PATH, listen_for_dns, set_up

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        if downstream is not None:
            _inside(downstream, set_up_downstream)
        set_up(guest_network(uuid))
        socket.send_fds(keeper, [b"ready"], [s.detach() for s in listen_for_dns()])
    except OSError as error:
        keeper.send(str(error).encode()[:_MAX_ERROR])
        os._exit(1)
    os.dup2(holds, 0)
    os.dup2(os.open("/dev/null", os.O_RDWR), 1)
    if downstream is not None:
        os.dup2(downstream, DOWNSTREAM_NAMESPACE)
        os.set_inheritable(DOWNSTREAM_NAMESPACE, True)
    os.closerange(DOWNSTREAM_NAMESPACE + (downstream is not None), os.sysconf("SC_OPEN_MAX"))
    os.execve("/bin/sh", ["qubes-manager-network", "-c", _HOLD], {"PATH": PATH})  # noqa: S606 - the least that waits


def _open_cards(cards: list[str]) -> tuple[list[int], int | None]:
    """Open the taps of the cards, and a namespace of its own for the one that leads to others; raises OSError."""
    taps, downstream = {}, None
    if netdevs.DOWNSTREAM in cards:
        taps[netdevs.DOWNSTREAM] = open_tap("card")
        downstream = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        enter_new_network()
    others = [card for card in cards if card != netdevs.DOWNSTREAM]
    taps |= {card: open_tap(f"card{number or ''}") for number, card in enumerate(others)}
    return [taps[card] for card in cards], downstream


def _inside(namespace: int, do: "Callable[[], None]") -> None:
    """Do something in another network namespace, and come back; raises OSError."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    enter(namespace, NEW_NET)
    try:
        do()
    finally:
        enter(own, NEW_NET)
        os.close(own)


def _peer(emulator: socket.socket) -> int:
    """The process that made the other end."""
    credentials = emulator.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder)


def _let_go_of_the_rest(kept: set[int]) -> None:
    """Close what libvirt gave to QEMU alone, and what the user's terminal would be."""
    for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - pathlib is not loaded yet
        if number > 2 and number not in kept:
            try:
                os.close(number)
            except OSError:
                continue
    nothing = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    os.close(nothing)
    os.chdir("/")
