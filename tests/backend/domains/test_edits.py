"""Edits beside programs that know nothing of our lock, on the test driver."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from qubes_manager.backend.domains import edits
from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.user.domain_lock import edit_lock
from qubes_manager.core.domain import DomainConfig
from qubes_manager.core.errors import Refused
from qubes_manager.core.labels import LABELS
from qubes_manager.core.volumes import OwnVolume, Role
from tests.driver import write_host

INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
ROOT, PRIVATE = OwnVolume(Role.ROOT, "p", "root.qcow2", digest="d"), OwnVolume(Role.PRIVATE, "p", "private.qcow2")
WORK = NewDomain("work", DomainConfig(label=LABELS["red"], tags=frozenset({"a"}), volumes=(ROOT,)), vcpus=2)


class Watched:
    """A domain of libvirt's whose calls are counted; *before* and *after* are called at a call's n-th time."""

    def __init__(self, domain: libvirt.virDomain) -> None:
        self.domain = domain
        self.calls: list[str] = []
        self.before: dict[tuple[str, int], Callable[[], object]] = {}
        self.after: dict[tuple[str, int], Callable[[], object]] = {}
        self.without_effect: set[str] = set()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: object) -> object:
            self.calls.append(name)
            nth = (name, self.calls.count(name))
            self.before.get(nth, lambda: None)()
            target = self.domain.connect() if name == "defineXML" else self.domain
            result = None if name in self.without_effect else getattr(target, name)(*args)
            self.after.get(nth, lambda: None)()
            return result

        return call

    def connect(self) -> "Watched":
        return self

    def config(self) -> DomainConfig:
        return parse_config(self.domain.XMLDesc(INACTIVE))

    def edit(self, old: str, new: str) -> None:
        """What “virsh edit” does."""
        text = self.domain.XMLDesc(INACTIVE)
        assert old in text
        self.domain.connect().defineXML(text.replace(old, new, 1))

    def add_vcpu(self) -> None:
        now = self.config().vcpus
        self.edit(f">{now}</vcpu>", f">{now + 1}</vcpu>")


@pytest.fixture
def domain(tmp_path: Path) -> Iterator[Watched]:
    connection = libvirt.open(write_host(tmp_path, [WORK]))
    yield Watched(connection.lookupByName("work"))
    connection.close()


def set_kernel(path: str) -> Callable[[Any], None]:
    """An edit that only a new definition makes."""
    return lambda document: document.set_boot_files(path, "")


def test_an_edit_that_changes_nothing_is_not_told_to_libvirt(domain: Watched) -> None:
    edits.edit_config(domain, "work", lambda document: document.set_vcpus(2))
    edits.edit_metadata(domain, "work", lambda edit: edit.add_tags({"a"}))
    assert not {"defineXML", "setMetadata"} & set(domain.calls)


def test_what_others_change_between_reading_and_writing_stays(domain: Watched) -> None:
    domain.after["XMLDesc", 1] = domain.add_vcpu
    domain.before["XMLDesc", 3] = domain.add_vcpu
    edits.edit_config(domain, "work", set_kernel("/k"))
    assert (domain.config().vcpus, domain.config().kernel) == (4, "/k")
    # It was written once, when nothing had changed since.
    assert domain.calls.count("defineXML") == 1


def test_an_edit_that_somebody_overwrites_is_made_again_on_what_he_wrote(domain: Watched) -> None:
    old = domain.domain.XMLDesc(INACTIVE)

    def overwrite() -> None:
        domain.domain.connect().defineXML(old.replace(">2</vcpu>", ">7</vcpu>"))

    domain.after["defineXML", 1] = overwrite
    edits.edit_config(domain, "work", set_kernel("/k"))
    assert (domain.config().vcpus, domain.config().kernel) == (7, "/k")


def test_an_edit_that_is_overwritten_a_moment_later_is_made_again_too(domain: Watched) -> None:
    old = domain.domain.XMLDesc(INACTIVE)
    # Whoever has read before the edit was made, and writes after it was looked for.
    domain.after["XMLDesc", 3] = lambda: domain.domain.connect().defineXML(old.replace(">2</vcpu>", ">7</vcpu>"))
    edits.edit_config(domain, "work", set_kernel("/k"))
    assert (domain.config().vcpus, domain.config().kernel) == (7, "/k")


@pytest.mark.parametrize(
    ("change", "call"),
    [
        (lambda document: document.metadata().put_volumes(PRIVATE), "setMetadata"),
        (lambda document: document.set_vcpus(5), "setVcpusFlags"),
        (lambda document: document.set_initial_memory(3 << 20), "setMemoryFlags"),
        (lambda document: document.set_maximum_memory(1 << 20), "setMemoryFlags"),
    ],
    ids=["records", "vcpus", "memory", "most memory"],
)
def test_what_libvirt_has_a_call_for_is_put_into_what_it_has_then(
    domain: Watched, change: Callable[[Any], None], call: str
) -> None:
    # Nothing of others' is in the way then, whenever they write.
    domain.before[call, 1] = lambda: domain.edit("<on_crash>destroy", "<on_crash>restart")
    edits.edit_config(domain, "work", change)
    assert "defineXML" not in domain.calls
    assert "<on_crash>restart" in domain.domain.XMLDesc(INACTIVE)
    wanted = DomainEdit(domain.domain.XMLDesc(INACTIVE))
    before = wanted.xml()
    change(wanted)
    assert wanted.xml() == before


@pytest.mark.parametrize(
    "code",
    [libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_OPERATION_UNSUPPORTED],
    ids=["no such call", "no such flag", "not for this device"],
)
def test_what_a_driver_has_no_call_for_is_written_whole_on_what_others_wrote(domain: Watched, code: int) -> None:
    def refuse() -> None:
        error = libvirt.libvirtError("not supported")
        error.err = (code, 0, "not supported", 2, "", None, None, -1, -1)
        raise error

    def refuse_after_others() -> None:
        domain.edit("<on_crash>destroy", "<on_crash>restart")
        refuse()

    domain.before = {("setVcpusFlags", 1): refuse_after_others, ("setVcpusFlags", 2): refuse}
    edits.edit_config(domain, "work", lambda document: document.set_vcpus(5))
    assert domain.calls.count("defineXML") == 1
    assert (domain.config().vcpus, "<on_crash>restart" in domain.domain.XMLDesc(INACTIVE)) == (5, True)


def test_what_libvirt_takes_and_does_not_keep_is_no_success(domain: Watched) -> None:
    domain.without_effect = {"defineXML", "setMetadata"}
    with pytest.raises(Refused, match="“work” was not changed: libvirt took the new configuration and kept the old"):
        edits.edit_config(domain, "work", set_kernel("/k"))
    with pytest.raises(Refused, match="“work” was not changed: libvirt took"):
        edits.edit_metadata(domain, "work", lambda edit: edit.add_tags({"b"}))
    with pytest.raises(Refused, match="“work” was not changed: libvirt took"):
        edits.set_notes(domain, "work", "new")


def test_who_is_overwritten_each_time_gives_up_and_says_so(domain: Watched) -> None:
    for nth in range(1, 100):
        domain.after["XMLDesc", nth] = domain.add_vcpu
    with pytest.raises(Refused, match="“work” was not changed as asked: another program keeps changing it"):
        edits.edit_config(domain, "work", set_kernel("/k"))
    assert "defineXML" not in domain.calls


def test_metadata_that_cannot_be_read_are_not_taken_for_none(domain: Watched) -> None:
    def fail() -> None:
        raise libvirt.libvirtError("the host is gone")

    domain.before["metadata", 1] = fail
    with pytest.raises(libvirt.libvirtError, match="the host is gone"):
        edits.edit_metadata(domain, "work", lambda edit: edit.add_tags({"b"}))
    assert domain.config().tags == {"a"}


def test_a_domain_that_others_made_is_adopted_by_its_first_edit(domain: Watched) -> None:
    raw = domain.domain.connect().defineXML(
        "<domain type='test'><name>f</name><memory>9</memory><os><type>hvm</type></os></domain>"
    )
    foreign = Watched(raw)
    edits.edit_metadata(foreign, "f", lambda edit: edit.set_text("label", "blue"))
    assert foreign.config().label is LABELS["blue"]


def test_a_transient_domain_is_never_made_persistent(domain: Watched) -> None:
    xml = "<domain type='test'><name>t</name><memory>9</memory><os><type>hvm</type></os></domain>"
    transient = Watched(domain.domain.connect().createXML(xml))
    attempts: list[Callable[[], None]] = [
        lambda: edits.edit_config(transient, "t", set_kernel("/k")),
        lambda: edits.edit_config(transient, "t", lambda document: document.metadata().add_tags({"x"})),
        lambda: edits.rename(transient, "t", "u"),
    ]
    for edit in attempts:
        with pytest.raises(Refused, match="“t” is a transient domain"):
            edit()
    # What can be set of a run is.
    edits.edit_metadata(transient, "t", lambda edit: edit.add_tags({"x"}))
    edits.set_notes(transient, "t", "notes")
    config = parse_config(transient.domain.XMLDesc())
    assert (set(config.tags), config.notes) == ({"x"}, "notes")
    assert not transient.domain.isPersistent()


def test_a_domain_that_becomes_transient_between_reading_and_writing_stays_so(domain: Watched) -> None:
    domain.domain.create()
    domain.after["XMLDesc", 1] = domain.domain.undefine
    with pytest.raises(Refused, match="“work” is a transient domain"):
        edits.edit_config(domain, "work", set_kernel("/k"))
    assert not domain.domain.isPersistent()


def test_threads_of_one_program_wait_for_each_other_too(domain: Watched) -> None:
    def add(name: str) -> None:
        edits.edit_metadata(domain.domain, "work", lambda edit: edit.add_tags({name}))

    threads = [threading.Thread(target=add, args=(f"t{i}",)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert domain.config().tags == {"a", *(f"t{i}" for i in range(12))}


def test_who_waits_too_long_for_anothers_edit_is_told(domain: Watched) -> None:
    uuid = domain.domain.UUIDString()
    with (
        edit_lock(uuid, "work"),
        pytest.raises(Refused, match="“work” is being changed by another"),
        edit_lock(uuid, "work", 0.02),
    ):
        pass
    # A long change holds another lock than the edits in it.
    edits.edit_metadata(domain, "work", lambda edit: edit.add_tags({"b"}))
