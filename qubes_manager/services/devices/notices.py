"""Quiet notices on the user's desktop: a device came, or was pulled out while a domain had it. One for each thing."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from qubes_manager.backend.host.desktop_notice import show_notice
from qubes_manager.core.devices.block import IMAGE, BlockDevice
from qubes_manager.core.devices.device import Device
from qubes_manager.core.devices.identity import DeviceClass
from qubes_manager.core.devices.interfaces import HID, STORAGE, fits, kind_of
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.sizes import format_size
from qubes_manager.services.devices.kind import Holder, Offered
from qubes_manager.services.devices.places import machine_of, thing_of
from qubes_manager.services.devices.watch import DeviceNews

CAME, WENT = "A device was plugged in", "A device was taken out"
# Seconds: for a stick's drive to be found, which comes a moment after the stick; and in which a thing is told of once.
SETTLING, ONCE = 2.5, 30.0
_INPUT = ("keyboard", "mouse", "input device")
# Things that are remembered; more than these are somebody's game.
_MOST = 200
Thing = tuple[str, str]


@dataclass(slots=True)
class _Told:
    """What was said last of a thing: when, in seconds, what, and what stands for the notice."""

    at: float
    text: str = ""
    notice: str = ""


def words_for(devices: Sequence[Device]) -> tuple[str, str]:
    """What to call a thing that is these devices, and what is said of it by name: “… (28.7 GiB USB drive)”."""
    whole = [device for device in devices if not device.parent]
    drive = next((one for one in whole if isinstance(one, BlockDevice)), None)
    other = next((one for one in whole if one.klass is not DeviceClass.BLOCK), None)
    if drive and (other is None or all(fits(STORAGE, code) for code in other.interfaces)):
        kind = "USB drive" if STORAGE in drive.interfaces and drive.kind == "disk" else drive.kind
        what = f"{format_size(drive.size)} {kind}" if drive.size else kind
        return kind, f"{drive.name} ({what})" if drive.name != kind else what
    device = other or devices[0]
    kind = kind_of(device.interfaces).words
    return kind, device.name if kind in device.name else f"{device.name} ({kind})"


def came_words(found: Sequence[Offered]) -> tuple[str, str]:
    """Title and text for a thing that has just come."""
    devices = [one.device for one in found]
    kind, name = words_for(devices)
    if kind in _INPUT:
        article = "An" if kind[0] in "aeiou" else "A"
        said = name.removesuffix(f" ({kind})")
        return f"{article} {kind} was plugged in", f"{said}; if you did not do that, pull it out."
    types = any(fits(HID, code) for device in devices for code in device.interfaces)
    warning = " It can type or point too: if you did not expect that, pull it out." if types else ""
    holders = [holder.domain.name for one in found for holder in one.holders]
    in_use = next((one.device.in_use for one in found if one.device.in_use), "")
    if holders:
        return CAME, f"{name} is here. “{holders[0]}” has it.{warning}"
    if in_use:
        return CAME, f"{name} is here. {HOST_NAME} uses it: {in_use}.{warning}"
    return CAME, f"{name} is here. Nothing has opened it; give it to a domain from Devices.{warning}"


class DeviceNotices:
    """Hears of all connections' devices and says what people want to know; *spawn* starts what takes a while."""

    def __init__(
        self,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        show: Callable[..., str] = show_notice,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spawn = spawn
        self._show = show
        self._clock = clock
        self._offered: dict[str, tuple[Offered, ...]] = {}
        self._told: dict[Thing, _Told] = {}

    def hear(self, uri: str, news: DeviceNews) -> None:
        """Take the news of a connection's devices."""
        before, self._offered[uri] = self._offered.get(uri, ()), news.offered
        machine = machine_of(uri)
        known = {thing_of(one.device) for one in before}
        for place in dict.fromkeys(thing_of(device) for device in news.came if not _is_image(device)):
            if self._is_news((machine, place), known):
                self._spawn(self._say_came((machine, place)))
        lost = {thing_of(device) for device in news.went if not _is_image(device)}
        for place in sorted(lost):
            gone = [one for one in before if thing_of(one.device) == place]
            names = {holder.domain.name for one in gone for holder in one.holders if _is_lost(holder)}
            if names and not any(thing_of(one.device) == place for one in news.offered):
                self._spawn(self._say_went((machine, place), [one.device for one in gone], names))

    def say(self, title: str, text: str) -> None:
        """Say how something went that was begun where the window is not seen."""
        self._spawn(self._say(title, text))

    async def _say(self, title: str, text: str) -> None:
        await asyncio.to_thread(self._show, title, text)

    def _is_news(self, thing: Thing, known: Iterable[str]) -> bool:
        """Whether it came just now, and nobody has begun to tell of it; what comes of it later is told in its place."""
        now, told = self._clock(), self._told.get(thing)
        recent = told is not None and now - told.at < ONCE
        if recent and told and not told.text:
            return False
        if not recent and thing[1] in known:
            # A stick that comes back from a domain has been here all the time.
            return False
        if not recent:
            self._forget()
            self._told[thing] = _Told(now)
        return True

    def _forget(self) -> None:
        while len(self._told) >= _MOST:
            del self._told[next(iter(self._told))]

    async def _say_came(self, thing: Thing) -> None:
        told = self._told[thing]
        found = self._found(thing)
        if any(_has_storage(one.device) for one in found) and not told.text:
            await asyncio.sleep(SETTLING)
            found = self._found(thing)
        if not found:
            return
        title, text = came_words(found)
        if text != told.text:
            told.text = text
            told.notice = await asyncio.to_thread(self._show, title, text, replaces=told.notice)

    async def _say_went(self, thing: Thing, devices: Sequence[Device], names: Iterable[str]) -> None:
        _kind, name = words_for(devices)
        who = ", ".join(f"“{one}”" for one in sorted(names))
        text = f"{name} was taken out while {who} had it."
        self._forget()
        told = self._told.setdefault(thing, _Told(self._clock()))
        # This machine's other connections tell the same.
        if text != told.text:
            told.text = text
            told.notice = await asyncio.to_thread(self._show, WENT, text, replaces=told.notice)

    def _found(self, thing: Thing) -> list[Offered]:
        machine, place = thing
        listed = (one for uri, offered in self._offered.items() if machine_of(uri) == machine for one in offered)
        return [one for one in listed if thing_of(one.device) == place and not _is_image(one.device)]


def _has_storage(device: Device) -> bool:
    return any(fits(STORAGE, code) for code in device.interfaces)


def _is_image(device: Device) -> bool:
    return isinstance(device, BlockDevice) and device.kind == IMAGE


def _is_lost(holder: Holder) -> bool:
    """Whether nobody else tells of it: what is served to a domain is told of by who served it."""
    disks = holder.domain.config.disks
    is_served = any(disk.target == holder.place and disk.socket for disk in disks)
    return holder.domain.state.is_active and not is_served
