"""Looks up the names in a domain's rules, in the background and again and again."""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from qubes_manager.core.firewall.rules import Address, parse_address
from qubes_manager.network.lookups import LookUp

# The C library tells no time to live. A busy name has other addresses each time, and its domain may have asked before
# us: seconds between two looks, and for how long an address counts that was told once.
_AGAIN, _SOON, _KEPT = 60.0, 5.0, 900.0
_MOST_ADDRESSES = 64
_PATIENCE = 15.0


@dataclass(slots=True)
class _Found:
    addresses: dict[Address, float] = field(default_factory=dict)
    trouble: str = ""


class Names:
    """The addresses of names, as *look_up* tells them; *changed* is called when any have changed."""

    def __init__(self, look_up: LookUp, changed: Callable[[], object]) -> None:
        self._ask = look_up
        self._changed = changed
        self._found: dict[str, _Found] = {}
        self._woken = asyncio.Event()
        # Set when each name has been looked up once.
        self.looked_up = asyncio.Event()

    def want(self, names: Iterable[str]) -> None:
        """Say which names are to be known from now on."""
        wanted = set(names)
        is_new = not wanted <= self._found.keys()
        self._found = {name: self._found.get(name, _Found()) for name in wanted}
        if is_new:
            self._woken.set()

    def ask(self, look_up: LookUp) -> None:
        """Ask somebody else from now on; what the other one has told counts as long as ever."""
        self._ask = look_up
        self._woken.set()

    @property
    def addresses(self) -> dict[str, list[Address]]:
        """The addresses of each name that has any."""
        return {name: list(found.addresses) for name, found in self._found.items() if found.addresses}

    @property
    def troubles(self) -> dict[str, str]:
        """Why names are not known."""
        return {name: found.trouble for name, found in self._found.items() if found.trouble}

    async def run(self) -> None:
        """Look them up until cancelled."""
        while True:
            self._woken.clear()
            # Those that nobody answers for do not always come before the others.
            names = random.sample(list(self._found), len(self._found))
            await asyncio.gather(*(self._renew(name, self._found[name]) for name in names if name in self._found))
            self.looked_up.set()
            pause = (_SOON if self.troubles else _AGAIN) if self._found else None
            try:
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _renew(self, name: str, found: _Found) -> None:
        before = set(found.addresses)
        await self._look_up(name, found)
        if set(found.addresses) != before:
            self._changed()

    async def _look_up(self, name: str, found: _Found) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                answers = await self._ask(name)
        except TimeoutError:
            found.trouble = "nobody answers"
        except (OSError, UnicodeError) as error:
            found.trouble = getattr(error, "strerror", "") or str(error)
        else:
            now = time.monotonic()
            told = [address for answer in answers if (address := parse_address(answer))]
            kept = {address: at for address, at in found.addresses.items() if now - at < _KEPT}
            newest = dict.fromkeys(told, now) | {a: at for a, at in kept.items() if a not in told}
            found.addresses = dict(list(newest.items())[:_MOST_ADDRESSES])
            found.trouble = "" if told else "it has no address"
