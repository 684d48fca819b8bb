"""Notices on the user's desktop, wherever that is now."""

import asyncio
from enum import Enum, auto

from qubes_manager.backend.host.desktop_notice import show_notice
from qubes_manager.core.crossing.broker_messages import OfferScreen
from qubes_manager.core.crossing.rate import Rate
from qubes_manager.core.domain import DomainKey
from qubes_manager.services.broker.desktop.screens import Screens
from qubes_manager.services.broker.lineage import Kin, Lineage

# Of one topic and domain, and of all disposables of its doing, in a second and at once.
_RATE, _BURST = 0.2, 5


class Topic(Enum):
    """What a notice is about; a domain that makes many of one topic hides none of another one behind them."""

    ALLOWED = auto()
    REFUSED = auto()
    FILES = auto()
    DEVICES = auto()
    # What a guest wants to be shown.
    MESSAGE = auto()


class Notices:
    """Shows notices on the screen that counts now; without one, or when a domain has had its share, nothing."""

    def __init__(self, screens: Screens, lineage: Lineage) -> None:
        self._screens = screens
        self._lineage = lineage
        self._rates: dict[tuple[Kin, Topic], Rate] = {}

    async def show(self, title: str, text: str, about: DomainKey, topic: Topic) -> bool:
        """Show a notice; returns whether it was. *about* is the domain whose doing it is."""
        screen = self._screens.current
        rate = self._rates.setdefault((self._lineage.kin(about), topic), Rate(_RATE, _BURST))
        if screen is None or not rate.try_spend():
            return False
        await asyncio.to_thread(show_notice, title, text, environment=environment(screen))
        return True

    def forget(self, key: DomainKey) -> None:
        """A domain is gone."""
        self._rates = {of: rate for of, rate in self._rates.items() if of[0].origin != key}


def environment(screen: OfferScreen) -> dict[str, str]:
    """What a program's environment must have to come to *screen*; empty where it must have none."""
    return {
        "DISPLAY": screen.display,
        "WAYLAND_DISPLAY": screen.wayland,
        "XAUTHORITY": screen.xauthority,
        "DBUS_SESSION_BUS_ADDRESS": screen.dbus,
        "XDG_RUNTIME_DIR": screen.runtime_dir,
    }
