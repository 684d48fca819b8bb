"""Network interfaces, and the one word (netvm) that each is written as, so that what is read can be given back.

User networking is ``isolated`` where a program of ours keeps it apart (core/firewall), the name of another domain where
that one is its network, and ``open`` where the domain reaches what this machine offers to itself. A libvirt network
goes by its name; every other kind stands before a colon, as in ``bridge:br0``. A network whose name means something
else already is written ``network:NAME``.
"""

from dataclasses import dataclass

from qubes_manager.core.errors import BadInput

# libvirt's kinds (https://libvirt.org/formatdomain.html#network-interfaces): with a source that one word says, without
# any, and those that need more than a word, which are only shown.
_SOURCED = ("network", "bridge", "direct", "internal", "vdpa")
_BARE = ("user", "ethernet", "null")
_SHOWN = ("hostdev", "vhostuser", "server", "client", "mcast", "udp", "vds")
USER, ISOLATED, OPEN = "user", "isolated", "open"
# What libvirt calls the card by which a domain is the network of others; network/netdevs.py knows it by that.
DOWNSTREAM_ALIAS = "ua-qubes-downstream"
# How its address begins, by which its guest knows it (guest/debian/62-qubes-manager-network.rules).
DOWNSTREAM_MAC = ("52", "51", "75")
# What earlier versions called it.
_USER_WORDS = (ISOLATED, OPEN, USER)
_TAKEN = (*_USER_WORDS, *_SOURCED, *_BARE, *_SHOWN, "none", "None")
SPELLINGS = "isolated, open, a domain that provides network, a libvirt network, bridge:NAME, direct:DEVICE, or none"
_MAX_SOURCE = 255


def filter_name(uuid: str) -> str:
    """What libvirt's network filter of a domain is called."""
    return f"qubes-manager-{uuid}"


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface: its kind (network, bridge, user, …), what it connects to, MAC address and model."""

    kind: str
    source: str = ""
    mac: str = ""
    model: str = ""
    # What serves user networking in QEMU's stead (passt), on this machine's own network.
    backend: str = ""
    # Of libvirt's network filters the one that it has.
    filter: str = ""
    # Whether others are connected to it, whose network the domain is.
    is_downstream: bool = False

    @property
    def is_plain_user(self) -> bool:
        """Whether it is user networking that QEMU itself would serve: that is kept apart where anything is."""
        return self.kind == USER and not self.backend

    @property
    def netvm(self) -> str:
        """The word for what it connects to; ``parse_netvm`` reads it back. User networking by itself is open."""
        if self.kind == USER:
            return OPEN
        if self.kind != "network":
            return f"{self.kind}:{self.source}" if self.source else self.kind
        means_else = self.source.partition(":")[0] in _TAKEN
        return f"network:{self.source}" if means_else else self.source


def parse_netvm(text: str) -> Interface:
    """Return the interface that *text* means, without MAC address and model; raises BadInput."""
    kind, _, source = text.partition(":")
    if text in _USER_WORDS:
        return Interface(USER)
    if kind not in _TAKEN:
        kind, source = "network", text
    if kind in _BARE and not source:
        return Interface(kind)
    if kind not in _SOURCED or not source or len(source) > _MAX_SOURCE or not source.isprintable():
        raise BadInput("netvm", text[:80], f"use {SPELLINGS}; “virsh edit” sets other kinds")
    return Interface(kind, source)
