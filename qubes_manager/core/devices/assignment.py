"""Devices that a domain is to have whenever it can: by the port, by what the device is, or by both."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from qubes_manager.core.devices.identity import ANY, DeviceClass, DeviceName
from qubes_manager.core.errors import BadInput, NotFound, Refused

if TYPE_CHECKING:
    from qubes_manager.core.devices.device import Device

_OPTION = re.compile(r"([a-z][a-z-]{0,30})=([A-Za-z0-9_.+-]{0,64})")


class Mode(StrEnum):
    """How it comes to the domain: by itself, after a question, or as what it does not start without."""

    AUTO = "auto-attach"
    ASK = "ask-to-attach"
    REQUIRED = "required"


# What a domain cannot be kept from starting for: these come and go by their users' hands.
_NEVER_REQUIRED = (DeviceClass.USB, DeviceClass.MIC)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a domain is to have. *port* (a location that stays) or *ident* is ``*`` where it does not matter."""

    klass: DeviceClass
    port: str
    ident: str
    mode: Mode = Mode.AUTO
    options: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> DeviceName:
        """The device that it means."""
        return DeviceName(self.port, self.ident)

    @property
    def rank(self) -> int:
        """Which of several for one device holds, lowest first: the one that says most, then the one of the port."""
        return (self.port == ANY) * 2 + (self.ident == ANY)

    def fits(self, device: "Device") -> bool:
        """Whether it means *device*. What has no ident of its own is known by its port alone."""
        return (
            self.klass is device.klass
            and self.port in (ANY, device.location)
            and (self.ident == ANY or (self.ident == device.ident and bool(device.ident)))
        )

    def check(self) -> None:
        """Raise BadInput where nothing is named, and Refused where the mode does not go with the class."""
        if self.port == self.ident == ANY:
            raise BadInput("device", self.name.text, "the port or the ident may be *, not both")
        if self.mode is Mode.REQUIRED and self.klass in _NEVER_REQUIRED:
            raise Refused(f"no domain can require a {self.klass} device: block and pci devices only")
        if self.klass is DeviceClass.PCI and self.mode is not Mode.REQUIRED:
            raise Refused("a pci device comes with the start of its domain or not at all: assign it as required")


def assignment_for(assignments: Iterable[Assignment], device: "Device") -> Assignment | None:
    """Return the one of a domain's assignments that holds for *device*."""
    return min((one for one in assignments if one.fits(device)), key=lambda one: one.rank, default=None)


def with_assignment(assignments: Sequence[Assignment], new: Assignment) -> tuple[Assignment, ...]:
    """Return the assignments with *new* in the place of one for the same device."""
    rest = [one for one in assignments if (one.klass, one.name) != (new.klass, new.name)]
    return tuple(sorted((*rest, new), key=lambda one: (one.klass, one.port, one.ident)))


def without_assignments(assignments: Sequence[Assignment], unwanted: Iterable[Assignment]) -> tuple[Assignment, ...]:
    """Return the assignments without those of *unwanted*; raises NotFound where one of these is not there."""
    gone = list(unwanted)
    for one in gone:
        if one not in assignments:
            raise NotFound(f"{one.name.text} is not assigned")
    return tuple(one for one in assignments if one not in gone)


def missing(assignments: Iterable[Assignment], devices: "Iterable[Device]") -> list[Assignment]:
    """Return what is required and not there."""
    there = list(devices)
    wanted = (one for one in assignments if one.mode is Mode.REQUIRED)
    return [one for one in wanted if not any(one.fits(device) for device in there)]


def parse_options(entries: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return options written ``name=value``, each once; raises BadInput."""
    found: dict[str, str] = {}
    for entry in entries:
        matched = _OPTION.fullmatch(entry)
        if not matched:
            raise BadInput("option", entry[:80], "use NAME=VALUE, of letters, digits, and - . _ +")
        found[matched[1]] = matched[2]
    return tuple(sorted(found.items()))
