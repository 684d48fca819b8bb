"""Devices that there are not, and what gives them: for the rules that hold for all classes."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

from qubes_manager.core.devices.assignment import Assignment
from qubes_manager.core.devices.device import Device, require_one
from qubes_manager.core.devices.identity import DeviceClass, DeviceName
from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import BadInput, QubesManagerError, Refused
from qubes_manager.core.events import Event, HostEvent, HostEventKind
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.services.devices.devices import Devices
from qubes_manager.services.devices.kind import DeviceKind, Holder, Offered
from qubes_manager.services.devices.watch import DeviceWatch
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore

URI = "test:///devices"
CODES = {
    DeviceClass.BLOCK: "b******",
    DeviceClass.USB: "u080650",
    DeviceClass.PCI: "p020000",
    DeviceClass.MIC: "m******",
}


@dataclass(frozen=True, slots=True)
class FakeDevice:
    """A device as a host tells it; its *location* is ``at-PORT`` where nothing else is said."""

    port: str
    ident: str = ""
    klass: DeviceClass = DeviceClass.BLOCK
    place: str = ""
    in_use: str = ""
    parent: str = ""
    codes: tuple[str, ...] = ()
    icon: str = "device-usb"

    @property
    def location(self) -> str:
        return self.place or f"at-{self.port}"

    @property
    def name(self) -> str:
        return f"“{self.ident}”" if self.ident else self.klass.value

    @property
    def description(self) -> str:
        return f"{self.klass} {self.port}"

    @property
    def interfaces(self) -> tuple[str, ...]:
        return self.codes or (CODES[self.klass],)


class FakeKind:
    """A class of devices: *devices* are there, *had* says which domains have which, and *calls* what was asked.

    Options are ``speed`` alone; *failing* is raised by a list, *refusing* where a device of that port is given.
    """

    def __init__(self, klass: DeviceClass = DeviceClass.BLOCK, *devices: FakeDevice) -> None:
        self.klass = klass
        self.devices = list(devices)
        self.had: list[tuple[DomainKey, FakeDevice, str]] = []
        self.calls: list[tuple[str, ...]] = []
        self.failing: Exception | None = None
        self.refusing: dict[str, QubesManagerError] = {}
        self.listed = 0
        self.store = DomainStore()

    def check_options(self, options: Mapping[str, str]) -> None:
        for name, value in options.items():
            if name != "speed":
                raise BadInput("option", f"{name}={value}", "use speed")

    async def offered(self, uri: str) -> list[Offered]:
        self.listed += 1
        await asyncio.sleep(0)
        if self.failing:
            raise self.failing
        return [Offered(device, self._holders(device)) for device in self.devices]

    def _holders(self, device: FakeDevice) -> tuple[Holder, ...]:
        return tuple(Holder(self.store.require(key), place) for key, one, place in self.had if one == device)

    async def find(self, uri: str, name: DeviceName) -> Device:
        # As a block device may be called by the path of its node.
        called = replace(name, port=name.port.removeprefix("/dev/"))
        return require_one(self.devices, called, self.klass)

    async def held(self, domain: Domain) -> list[tuple[Device, Holder]]:
        return [(one, Holder(domain, place)) for key, one, place in self.had if key == domain.key]

    async def require(self, domain: Domain) -> None:
        self.calls.append(("require", domain.name))

    async def give(self, key: DomainKey, device: Device, options: Mapping[str, str]) -> str:
        self.check_options(options)
        if error := self.refusing.get(device.port):
            raise error
        fake = cast(FakeDevice, device)
        if any(one == fake for _key, one, _place in self.had):
            raise Refused(f"somebody has {device.port}")
        place = f"place{len(self.had)}"
        self.had.append((key, fake, place))
        self.calls.append(("give", key.uuid, device.port, *(f"{k}={v}" for k, v in sorted(options.items()))))
        return place

    async def take(self, holder: Holder, device: Device, *, force: bool = False, progress: Progress = SILENT) -> str:
        self.calls.append(("take", holder.domain.key.uuid, device.port, *(["force"] if force else [])))
        self.had = [one for one in self.had if one != (holder.domain.key, device, holder.place)]
        return f"{device.port} is free"

    def warnings(self, device: Device) -> list[str]:
        return [f"beware of {device.port}"]

    @property
    def given(self) -> list[tuple[str, str]]:
        """The domains that have a device, each with its port."""
        return [(key.uuid, device.port) for key, device, _place in self.had]


class FakeHosts:
    """One connection, which hears of node devices when ``announce`` is called."""

    def __init__(self) -> None:
        self.listening: list[asyncio.Queue[Event]] = []
        self.refreshed: list[DomainKey] = []

    def connection(self, uri: str) -> "FakeHosts":
        assert uri == URI
        return self

    @contextlib.contextmanager
    def listen(self) -> Iterator["asyncio.Queue[Event]"]:
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self.listening.append(queue)
        try:
            yield queue
        finally:
            self.listening.remove(queue)

    def announce(self, kind: HostEventKind = HostEventKind.NODE_DEVICES) -> None:
        for queue in self.listening:
            queue.put_nowait(HostEvent(kind))

    async def refresh(self, key: DomainKey) -> None:
        self.refreshed.append(key)


class FakeWorld:
    """Services over kinds of devices that there are not; *now* is the clock of its watch."""

    def __init__(self, *kinds: FakeKind) -> None:
        self.store = DomainStore()
        self.hosts = FakeHosts()
        self.kinds = {kind.klass: kind for kind in kinds or (FakeKind(),)}
        for kind in self.kinds.values():
            kind.store = self.store
        typed = [cast(DeviceKind, kind) for kind in self.kinds.values()]
        self.devices = Devices(cast(Hosts, self.hosts), self.store, typed)
        self.now = 1000.0

    @property
    def kind(self) -> FakeKind:
        """The first class."""
        return next(iter(self.kinds.values()))

    def watch(self) -> DeviceWatch:
        return DeviceWatch(cast(Hosts, self.hosts), self.store, self.devices, URI, lambda: self.now)

    def domain(
        self,
        name: str = "work",
        *assignments: Assignment,
        state: DomainState = DomainState.RUNNING,
        denied: tuple[str, ...] = (),
    ) -> Domain:
        """Let there be a domain, or let it be otherwise; its UUID is its name."""
        config = DomainConfig(assignments=assignments, devices_denied=denied)
        made = Domain(DomainKey(URI, name), name, state, config=config)
        self.put(made)
        return made

    def put(self, *domains: Domain) -> None:
        """Let libvirt tell how domains are."""
        self.store.put(domains)
        self.store.flush()

    def halt(self, name: str) -> None:
        """A domain has ended, and has nothing any more."""
        key = DomainKey(URI, name)
        for kind in self.kinds.values():
            kind.had = [one for one in kind.had if one[0] != key]
        self.put(replace(self.store.require(key), state=DomainState.HALTED))
