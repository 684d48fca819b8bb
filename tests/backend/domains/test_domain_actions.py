"""Actions on domains, on libvirt's own test driver."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import libvirt
import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.backend.domains.domain_actions import DomainActions, undefine
from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.core.domain import Domain, DomainClass, DomainConfig, DomainKey, DomainState, Job
from qubes_manager.core.errors import HostCallFailed, NotFound
from qubes_manager.core.labels import LABELS
from qubes_manager.core.volumes import OwnVolume, Role
from tests.driver import PAUSED, RUNNING, write_host

WORK, COPY = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
ROOT, PRIVATE = OwnVolume(Role.ROOT, "p", "old.root.qcow2", 3), OwnVolume(Role.PRIVATE, "p", "old.private.qcow2")
CONFIG = DomainConfig(label=LABELS["red"], klass=DomainClass.TEMPLATE, revision=3, volumes=(ROOT, PRIVATE))
TEMPLATE = NewDomain(
    "work",
    CONFIG,
    WORK,
    disks=(DiskSpec("/pool/old.root.qcow2"), DiskSpec("/pool/old.private.qcow2", serial="private")),
    kernel="/pool/old.vmlinuz",
    console_log="/old.log",
    graphics=False,
)


class Host:
    """A connection to a host with one domain, and what is known of that one there."""

    def __init__(self, connection: LibvirtConnection) -> None:
        self.connection = connection
        key = DomainKey(connection.uri, WORK)
        self.actions = DomainActions(connection, Domain(key, "work", DomainState.HALTED))

    async def state(self) -> int:
        state: int = await self.connection.on_domain(WORK, "read", lambda domain: domain.state()[0])
        return state

    async def config(self, uuid: str = WORK) -> DomainConfig:
        flag = libvirt.VIR_DOMAIN_XML_INACTIVE
        return parse_config(await self.connection.on_domain(uuid, "read", lambda domain: domain.XMLDesc(flag)))


async def opened(folder: Path, **states: int) -> Host:
    connection = LibvirtConnection(write_host(folder, [TEMPLATE], states=states), watch=False)
    await connection.open()
    connection.handles[WORK] = await connection.call("find", lambda raw: raw.lookupByName("work"))
    return Host(connection)


@pytest.fixture
async def halted(tmp_path: Path) -> AsyncIterator[Host]:
    host = await opened(tmp_path)
    yield host
    await host.connection.close()


STOPS: dict[str, Callable[[DomainActions], Awaitable[None]]] = {
    "pause": lambda actions: actions.pause(),
    "suspend": lambda actions: actions.suspend(),
    "shut down": lambda actions: actions.request_shutdown(),
    "kill": lambda actions: actions.kill(),
}


@pytest.mark.parametrize("what", STOPS)
async def test_what_is_to_stop_and_has_ended_by_itself_is_no_complaint(halted: Host, what: str) -> None:
    await halted.actions.start()
    await halted.actions.kill()
    await STOPS[what](halted.actions)
    assert await halted.state() == libvirt.VIR_DOMAIN_SHUTOFF


class Ending:
    """Stands for a guest whose QEMU is about to go: its monitor is lost, and libvirt takes note of it after *looks*.

    Without an end it is one that refuses, and goes on. A transient one is gone then.
    """

    def __init__(self, looks: int, *, transient: bool = False) -> None:
        self._looks = looks
        self._transient = transient

    def refuse(self, *_args: int) -> None:
        raise libvirt.libvirtError("Unable to read from monitor: Connection reset by peer")

    suspend = pMSuspendForDuration = shutdown = destroy = agentSetResponseTimeout = refuse

    def isActive(self) -> bool:
        self._looks -= 1
        if self._looks and self._transient:
            return True
        if self._transient:
            error = libvirt.libvirtError("gone")
            error.err = (libvirt.VIR_ERR_NO_DOMAIN, 0, "gone", 0, "", "", "", 0, 0)
            raise error
        return self._looks != 0


@pytest.mark.parametrize("what", STOPS)
async def test_a_stop_that_meets_the_end_of_its_guest_is_done_and_a_refusal_is_said(halted: Host, what: str) -> None:
    for ending in (Ending(1), Ending(3), Ending(1, transient=True), Ending(3, transient=True)):
        halted.connection.handles[WORK] = ending
        await STOPS[what](halted.actions)
    halted.connection.handles[WORK] = Ending(-1)
    with pytest.raises(HostCallFailed, match=f"cannot {what} “work”: Unable to read from monitor"):
        await STOPS[what](halted.actions)


@pytest.mark.parametrize("state", [RUNNING, PAUSED])
async def test_what_is_to_go_on_runs_whether_it_was_paused_or_not(tmp_path: Path, state: int) -> None:
    host = await opened(tmp_path, work=state)
    await host.actions.resume()
    assert await host.state() == RUNNING
    await host.connection.close()


async def test_metadata_are_changed_now_and_for_later_starts(tmp_path: Path) -> None:
    host = await opened(tmp_path, work=RUNNING)
    await host.actions.edit_metadata(lambda edit: edit.add_tags({"money"}))
    await host.actions.set_notes("a & b")
    now = parse_config(await host.connection.on_domain(WORK, "read", lambda domain: domain.XMLDesc()))
    later = await host.config()
    for config in (now, later):
        assert (set(config.tags), config.notes, config.label) == ({"money"}, "a & b", LABELS["red"])
    await host.connection.close()


async def test_a_copy_has_disks_and_a_life_of_its_own(halted: Host) -> None:
    await halted.actions.edit_config(lambda edit: edit.metadata().set_number("trial", 4))
    volumes = [OwnVolume(Role.ROOT, "p", "new.root.qcow2", 1), OwnVolume(Role.PRIVATE, "p", "new.private.qcow2")]
    paths = {Role.ROOT: "/pool/new.root.qcow2", Role.KERNEL: "/pool/new.vmlinuz"}
    await halted.actions.define_copy(COPY, "copy", "/new.log", volumes, Job.CREATE, paths)
    copy = await halted.config(COPY)
    # What has no path of its own yet is none of its disks: it would write into the original's.
    assert [disk.source for disk in copy.disks] == ["/pool/new.root.qcow2"]
    assert (copy.kernel, copy.console_log, copy.label) == ("/pool/new.vmlinuz", "/new.log", LABELS["red"])
    assert (copy.revision, copy.trial, copy.job) == (1, 0, Job.CREATE)
    assert [volume.name for volume in copy.volumes] == ["new.root.qcow2", "new.private.qcow2"]
    original = await halted.config()
    assert (original.volumes, original.revision, original.trial, original.job) == ((ROOT, PRIVATE), 3, 4, None)


async def test_a_driver_without_saved_states_forgets_domains_too(halted: Host) -> None:
    await undefine(halted.connection, WORK, "work")
    with pytest.raises(NotFound, match="cannot read: the domain does not exist any more"):
        await halted.state()


class Busy:
    """A domain that libvirt does not forget now."""

    def isPersistent(self) -> int:
        return 1

    def XMLDesc(self, _flags: int) -> str:
        return "<domain/>"

    def undefineFlags(self, _flags: int) -> None:
        raise libvirt.libvirtError("it is being migrated")

    def undefine(self) -> None:
        raise AssertionError("tried again without regard to what it has")


async def test_one_that_libvirt_does_not_forget_now_is_not_forgotten_by_force(halted: Host) -> None:
    halted.connection.handles[WORK] = Busy()
    with pytest.raises(HostCallFailed, match="cannot delete “work”: it is being migrated"):
        await undefine(halted.connection, WORK, "work")
