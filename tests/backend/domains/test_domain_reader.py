"""Reading domains: what libvirt's states mean here, and what a guest's own words may not do."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from qubes_manager.backend.connection.agent_calls import PATIENCE
from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.domains.domain_reader import (
    PAUSES,
    list_domains,
    read_addresses,
    read_configs,
    read_disk_errors,
    read_disk_use,
    read_domains,
    read_flags,
    read_samples,
)
from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.core.domain import UNREAD, Domain, DomainConfig, DomainState, Ending
from qubes_manager.core.errors import HostCallFailed
from qubes_manager.core.pauses import DiskError
from tests.driver import write_host

WORK, MAIL = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
DOMAINS = [NewDomain("work", DomainConfig(), WORK, graphics=False), NewDomain("mail", DomainConfig(), MAIL)]


async def opened(folder: Path, **states: int) -> LibvirtConnection:
    connection = LibvirtConnection(write_host(folder, DOMAINS, states=states), watch=False)
    await connection.open()
    return connection


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[LibvirtConnection]:
    """Two domains: mail runs, work is halted; both are known."""
    connection = await opened(tmp_path, mail=libvirt.VIR_DOMAIN_RUNNING)
    await list_domains(connection)
    yield connection
    await connection.close()


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (libvirt.VIR_DOMAIN_RUNNING, DomainState.RUNNING),
        (libvirt.VIR_DOMAIN_BLOCKED, DomainState.RUNNING),
        (libvirt.VIR_DOMAIN_PAUSED, DomainState.PAUSED),
        (libvirt.VIR_DOMAIN_SHUTDOWN, DomainState.HALTING),
        (libvirt.VIR_DOMAIN_SHUTOFF, DomainState.HALTED),
        # Its QEMU is kept, to be looked at.
        (libvirt.VIR_DOMAIN_CRASHED, DomainState.PAUSED),
        (libvirt.VIR_DOMAIN_PMSUSPENDED, DomainState.SUSPENDED),
    ],
)
async def test_each_state_of_libvirt_is_one_of_ours(tmp_path: Path, code: int, state: DomainState) -> None:
    connection = await opened(tmp_path, work=code)
    listed = {domain.name: domain for domain in await list_domains(connection)}
    assert listed["work"].state is state
    assert (listed["work"].id >= 0) is state.is_active
    assert (await read_domains(connection, [WORK]))[WORK].state is state
    await connection.close()


@pytest.mark.parametrize(
    ("end", "ending"),
    [("shutdown", Ending.CLEAN), ("destroy", Ending.KILLED), ("", Ending.UNKNOWN)],
)
async def test_how_a_run_ended_is_known_as_far_as_libvirt_knows(
    host: LibvirtConnection, end: str, ending: Ending
) -> None:
    if end:
        await host.on_domain(MAIL, end, lambda domain: getattr(domain, end)())
    uuid = MAIL if end else WORK
    read = (await read_domains(host, [uuid]))[uuid]
    assert (read.state, read.ending) == (DomainState.HALTED, ending)
    listed = next(d for d in await list_domains(host) if d.key.uuid == uuid)
    assert listed.ending is ending
    # libvirt's numbers of reasons mean something else for a domain that runs.
    await host.on_domain(uuid, "start", lambda domain: domain.create())
    assert (await read_domains(host, [uuid]))[uuid].ending is Ending.UNKNOWN


class Ended:
    """Stands for a domain whose QEMU died, or of which libvirt says something else that the test driver never does."""

    def __init__(self, code: int, reason: int = 0, error: int = 0) -> None:
        self._state = [code, reason]
        self._error = error

    def state(self) -> list[int]:
        if self._error:
            error = libvirt.libvirtError("it fails")
            error.err = (self._error, 0, "it fails", 0, "", "", "", 0, 0)
            raise error
        return self._state

    XMLDesc = state

    def name(self) -> str:
        return "work"

    def ID(self) -> int:
        return 1

    def isPersistent(self) -> bool:
        return True

    def autostart(self) -> bool:
        return False

    def isActive(self) -> bool:
        return False

    def hasManagedSaveImage(self) -> int:
        error = libvirt.libvirtError("this driver cannot save")
        error.err = (libvirt.VIR_ERR_NO_SUPPORT, 0, "", 0, "", "", "", 0, 0)
        raise error


async def test_a_saved_domain_is_neither_running_nor_halted_until_its_state_is_discarded(
    host: LibvirtConnection,
) -> None:
    async def seen() -> Domain:
        """What one look at it says, and a look at all of them too."""
        read = (await read_domains(host, [MAIL]))[MAIL]
        assert read == next(d for d in await list_domains(host) if d.key.uuid == MAIL)
        assert (MAIL in (await read_flags(host)).saved) is (read.state is DomainState.SAVED)
        return read

    await host.on_domain(MAIL, "save", lambda domain: domain.managedSave())
    saved = await seen()
    assert (saved.state, saved.state.is_active, saved.state.is_over) == (DomainState.SAVED, False, False)
    await host.on_domain(MAIL, "discard", lambda domain: domain.managedSaveRemove())
    gone = await seen()
    assert (gone.state, gone.ending) == (DomainState.HALTED, Ending.SAVED)
    await host.on_domain(MAIL, "start", lambda domain: domain.create())
    await host.on_domain(MAIL, "save", lambda domain: domain.managedSave())
    await host.on_domain(MAIL, "start", lambda domain: domain.create())
    assert (await seen()).state is DomainState.RUNNING


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (libvirt.VIR_DOMAIN_PAUSED_USER, "Paused: by the user"),
        (libvirt.VIR_DOMAIN_PAUSED_IOERROR, "Paused: I/O error"),
        (libvirt.VIR_DOMAIN_PAUSED_MIGRATION, "Paused: it is being moved to another host"),
        (libvirt.VIR_DOMAIN_PAUSED_CRASHED, "Paused: its system has crashed (panic)"),
        (libvirt.VIR_DOMAIN_PAUSED_UNKNOWN, "Paused: nobody knows why"),
        (99, "Paused: nobody knows why"),
    ],
)
async def test_a_pause_says_why(driver: LibvirtConnection, reason: int, words: str) -> None:
    driver.handles[WORK] = Ended(libvirt.VIR_DOMAIN_PAUSED, reason)
    assert (await read_domains(driver, [WORK]))[WORK].state_text == words


async def test_every_reason_that_libvirt_has_for_a_pause_has_its_words() -> None:
    known = {getattr(libvirt, name) for name in dir(libvirt) if name.startswith("VIR_DOMAIN_PAUSED_")}
    # The end of the enumeration is among the names where the bindings have it.
    ends = {libvirt.VIR_DOMAIN_PAUSED_UNKNOWN, getattr(libvirt, "VIR_DOMAIN_PAUSED_LAST", 0)}
    assert known - ends <= set(PAUSES)


class Stopped:
    """Stands for a domain whose disks are in trouble, or a driver that knows nothing of such."""

    def __init__(self, errors: dict[str, int] | None) -> None:
        self._errors = errors

    def diskErrors(self) -> dict[str, int]:
        if self._errors is None:
            error = libvirt.libvirtError("not here")
            error.err = (libvirt.VIR_ERR_NO_SUPPORT, 0, "", 0, "", "", "", 0, 0)
            raise error
        return self._errors


async def test_disks_in_trouble_are_named_and_a_driver_that_knows_none_is_no_error(driver: LibvirtConnection) -> None:
    full, broken = libvirt.VIR_DOMAIN_DISK_ERROR_NO_SPACE, libvirt.VIR_DOMAIN_DISK_ERROR_UNSPEC
    driver.handles[WORK] = Stopped({"vdb": full, "vda": broken})
    assert await read_disk_errors(driver, WORK) == (DiskError("vda", False), DiskError("vdb", True))
    driver.handles[WORK] = Stopped(None)
    assert await read_disk_errors(driver, WORK) == ()


async def test_a_qemu_that_died_has_crashed_and_was_not_shut_down(driver: LibvirtConnection) -> None:
    driver.handles[WORK] = Ended(libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED)
    read = (await read_domains(driver, [WORK]))[WORK]
    assert (read.state, read.ending, read.id) == (DomainState.CRASHED, Ending.KILLED, -1)


async def test_a_state_that_is_new_to_us_is_unknown_and_not_taken_for_running(driver: LibvirtConnection) -> None:
    driver.handles[WORK] = Ended(99)
    read = (await read_domains(driver, [WORK]))[WORK]
    assert (read.state, read.state.is_active) == (DomainState.UNKNOWN, False)


async def test_what_is_gone_is_left_out_and_what_fails_is_said(driver: LibvirtConnection) -> None:
    driver.handles[WORK] = Ended(0, error=libvirt.VIR_ERR_NO_DOMAIN)
    assert await read_domains(driver, [WORK, MAIL]) == {}
    assert await read_configs(driver, [WORK, MAIL]) == {WORK: None, MAIL: None}
    driver.handles[WORK] = Ended(0, error=libvirt.VIR_ERR_INTERNAL_ERROR)
    with pytest.raises(HostCallFailed, match="cannot read the domains: it fails"):
        await read_domains(driver, [WORK])
    with pytest.raises(HostCallFailed, match="cannot read the domains’ XML: it fails"):
        await read_configs(driver, [WORK])


async def test_which_domains_are_transient_or_start_with_the_host_is_told(host: LibvirtConnection) -> None:
    await host.on_domain(WORK, "set", lambda domain: domain.setAutostart(1))
    passing = "<domain type='test'><name>passing</name><memory>1024</memory><os><type>hvm</type></os></domain>"
    await host.call("create", lambda raw: raw.createXML(passing))
    listed = {domain.name: domain for domain in await list_domains(host)}
    assert {name: (d.persistent, d.autostart) for name, d in listed.items()} == {
        "work": (True, True),
        "mail": (True, False),
        "passing": (False, False),
    }
    transient = listed["passing"].key.uuid
    flags = await read_flags(host)
    assert (set(flags.transient), set(flags.autostart)) == ({transient}, {WORK})
    read = await read_domains(host, [WORK, transient])
    assert [(d.persistent, d.autostart) for d in read.values()] == [(True, True), (False, False)]


async def test_a_turn_that_is_over_leaves_the_rest_for_the_next(host: LibvirtConnection) -> None:
    assert list(await read_configs(host, [WORK, MAIL], turn=-1)) == [WORK]
    assert list(await read_configs(host, [WORK, MAIL])) == [WORK, MAIL]


async def test_xml_that_is_none_makes_a_domain_of_which_nothing_is_known(driver: LibvirtConnection) -> None:
    class Broken:
        def XMLDesc(self) -> str:
            return "<domain>"

    driver.handles[WORK] = Broken()
    assert (await read_configs(driver, [WORK]))[WORK] is UNREAD


async def test_a_driver_without_figures_in_bulk_is_asked_one_by_one(host: LibvirtConnection) -> None:
    before, after = [(await read_samples(host, [MAIL, "nobody"]))[0] for _ in range(2)]
    assert (before.uuid, before.vcpus, before.memory_kib) == (MAIL, 2, 2048 * 1024)
    assert after.cpu_time > before.cpu_time > 0
    assert after.moment > before.moment
    assert await read_samples(host, ["nobody"]) == []


async def test_the_size_of_a_disk_is_that_which_the_guest_sees(driver: LibvirtConnection) -> None:
    driver.handles[WORK] = await driver.call("find", lambda raw: raw.lookupByName("test"))
    use = await read_disk_use(driver, WORK, ["vda", "vdz"])
    assert [(target, u.allocation, u.capacity) for target, u in use.items()] == [("vda", 1 << 40, 1099506450432)]


class Talkative:
    """Stands for a guest whose agent tells of interfaces what it likes; without one there are leases."""

    def __init__(self, *told: str, agent: bool = True) -> None:
        self._told = told
        self._agent = agent
        self.patience: list[int] = []

    def agentSetResponseTimeout(self, seconds: int, _flags: int) -> None:
        self.patience.append(seconds)

    def interfaceAddresses(self, source: int) -> dict[str, Any]:
        if source == libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT and not self._agent:
            raise libvirt.libvirtError("no agent")
        return {"lo": {"addrs": None}, "eth0": {"addrs": [{"addr": text} for text in self._told]}}


@pytest.mark.parametrize(
    ("guest", "addresses"),
    [
        (Talkative("127.0.0.1", "::1", "fe80::1", "192.168.0.7", "fd00::7"), ("192.168.0.7", "fd00::7")),
        (Talkative("\x1b[31m10.0.0.1", "10.0.0.1 ", "a", ""), ()),
        (Talkative(*(f"10.0.0.{n}" for n in range(100))), tuple(f"10.0.0.{n}" for n in range(8))),
        (Talkative(*["x"] * 64, "10.0.0.1"), ()),
        (Talkative("10.0.0.2", agent=False), ("10.0.0.2",)),
    ],
    ids=["useful ones", "no addresses", "too many", "too much nonsense", "leases"],
)
async def test_of_addresses_only_a_few_that_others_could_use_are_told(
    driver: LibvirtConnection, guest: Talkative, addresses: tuple[str, ...]
) -> None:
    driver.handles[WORK] = guest
    assert (await read_addresses(driver, WORK))[0] == addresses
    # An agent has its time before it is asked; what other clients ask afterwards has more.
    assert guest.patience == [PATIENCE, 60]
