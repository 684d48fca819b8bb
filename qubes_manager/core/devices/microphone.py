"""The microphone: one device, off, and on for one domain after the other."""

from collections.abc import Iterable
from dataclasses import dataclass

from qubes_manager.core.devices.device import own_words
from qubes_manager.core.devices.identity import DeviceClass
from qubes_manager.core.devices.interfaces import ANY_MICROPHONE
from qubes_manager.core.errors import BadInput

# What the one microphone is called, as in Qubes.
PORT = "mic"


@dataclass(frozen=True, slots=True)
class Microphone:
    """Whatever the user's desktop records from; *source* is what the sound server calls that, empty without one."""

    source: str = ""

    @property
    def klass(self) -> DeviceClass:
        """The class that it is alone in."""
        return DeviceClass.MIC

    @property
    def port(self) -> str:
        """Always the same."""
        return PORT

    @property
    def location(self) -> str:
        """The port, which stays whatever is plugged in."""
        return PORT

    @property
    def ident(self) -> str:
        """Nothing: which microphone it is, is the desktop's to choose."""
        return ""

    @property
    def name(self) -> str:
        """What people call it."""
        return "microphone"

    @property
    def description(self) -> str:
        """One line for people, with what records."""
        source = own_words(self.source, 80)
        return f"{self.name} ({source})" if source else f"{self.name} (none plugged in)"

    @property
    def icon(self) -> str:
        """Its picture."""
        return "device-microphone"

    @property
    def interfaces(self) -> tuple[str, ...]:
        """The code of a microphone."""
        return (ANY_MICROPHONE,)

    @property
    def parent(self) -> str:
        """Nothing: it is whole."""
        return ""

    @property
    def in_use(self) -> str:
        """Nothing that keeps it from domains: what programs of the desktop record, all may hear at once."""
        return ""


@dataclass(frozen=True, slots=True)
class Recorder:
    """A stream by which a domain's QEMU hears, by the server's *index* for it.

    QEMU records from its start to its end, whether its guest listens or not; the server gives it silence while *muted*,
    and nothing while it is *corked*. *of_monitor*: what it hears is what this machine plays, and no microphone.
    """

    index: int
    domain: str
    muted: bool = False
    corked: bool = False
    of_monitor: bool = False

    @property
    def hears(self) -> bool:
        """Whether anything that is said can come to the domain."""
        return not self.muted and not self.corked


def hearing(recorders: Iterable[Recorder]) -> frozenset[str]:
    """The names of the domains that hear now."""
    return frozenset(one.domain for one in recorders if one.hears)


def refuse_options(options: Iterable[str]) -> None:
    """Raise BadInput for any option: it has none."""
    for name in options:
        raise BadInput("option", name[:80], "the microphone has no options")
