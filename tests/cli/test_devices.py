"""What qvm-device, qvm-usb, qvm-pci and qvm-block have in common: over devices that a test makes up."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from lxml import etree

from qubes_manager.backend.domains.metadata import MetadataEdit, tag
from qubes_manager.cli import qvm_block, qvm_device, qvm_pci, qvm_usb
from qubes_manager.cli.options import DONE, FAILED
from qubes_manager.core.devices.assignment import Assignment, Mode
from qubes_manager.core.devices.identity import ANY, DeviceClass
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import Refused
from qubes_manager.services.devices.devices import Devices
from qubes_manager.services.devices.wiring import DeviceServices
from tests.cli.conftest import WORK
from tests.services.devices.fakes import FakeDevice, FakeKind

BLOCK, USB, PCI, MIC = DeviceClass.BLOCK, DeviceClass.USB, DeviceClass.PCI, DeviceClass.MIC
STICK = FakeDevice("sdb", "Acme_1", BLOCK, "usb-2-1")
PART = FakeDevice("sdb1", "Acme_1:1", BLOCK, "usb-2-1-part1", parent="sdb")
SYSTEM = FakeDevice("sda", in_use="mounted at /")
CAMERA = FakeDevice("1-6", "04f2:b5a7::u0e0100", USB, "usb-1-6")
CARD = FakeDevice("0000_02_00.0", "10ec:8168:p020000", PCI, "00_1c.0-00_00.0")
Run = Callable[..., tuple[int, list[str], list[str]]]
MAINS: dict[str, Callable[[Sequence[str] | None], int]] = {
    "qvm-block": qvm_block.main,
    "qvm-usb": qvm_usb.main,
    "qvm-pci": qvm_pci.main,
    "qvm-device": qvm_device.main,
}


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> dict[DeviceClass, FakeKind]:
    """A stick with a partition, the system's disk, a camera and a network card."""
    found = {
        BLOCK: FakeKind(BLOCK, SYSTEM, STICK, PART),
        USB: FakeKind(USB, CAMERA),
        PCI: FakeKind(PCI, CARD),
        MIC: FakeKind(MIC),
    }

    def devices(services: DeviceServices) -> Devices:
        for kind in found.values():
            kind.store = services.store
        return Devices(services.hosts, services.store, list(found.values()))

    monkeypatch.setattr(DeviceServices, "devices", property(devices))
    return found


@pytest.fixture
def run(host: str, kinds: dict[DeviceClass, FakeKind], capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on the host; gives its exit code, what it printed, and what it complained of."""

    def run(command: str, *words: str) -> tuple[int, list[str], list[str]]:
        name, *first = command.split()
        code = MAINS[name]([*first, "-c", host, *words])
        said = capsys.readouterr()
        return code, said.out.splitlines(), [line.partition(": ")[2] or line for line in said.err.splitlines()]

    return run


def assign(host: str, *assignments: Assignment) -> None:
    """Let work have these by its metadata: each command reads the host's description anew."""
    path = Path(host.removeprefix("test://"))
    root = etree.parse(path).getroot()
    work = next(one for one in root.iter("domain") if one.findtext("name") == "work")
    MetadataEdit.of_element(next(work.iter(tag("domain")))).set_assignments(assignments)
    path.write_text(etree.tostring(root, encoding="unicode"))


def key(host: str) -> DomainKey:
    return DomainKey(host, WORK)


def columns(lines: Sequence[str]) -> list[list[str]]:
    return [[part for part in line.split("  ") if part] for line in lines]


def stripped(lines: Sequence[str]) -> list[list[str]]:
    return [[part.strip() for part in row] for row in columns(lines)]


# Listing.


@pytest.mark.parametrize("words", [(), ("list",), ("ls",), ("l",)])
def test_devices_are_listed_with_who_has_them(
    run: Run, kinds: dict[DeviceClass, FakeKind], host: str, words: tuple[str, ...]
) -> None:
    kinds[BLOCK].had = [(key(host), STICK, "sdx")]
    code, out, err = run("qvm-block", *words)
    assert (code, err) == (DONE, [])
    assert stripped(out) == [
        ["BACKEND:DEVID", "DESCRIPTION", "USED BY"],
        ["dom0:sda", "block sda", "mounted at /"],
        ["dom0:sdb", "block sdb", "work (sdx)"],
        ["dom0:sdb1", "block sdb1"],
        ["Vault:sda", "CD-ROM drive: empty", "Vault"],
    ]


def test_each_command_lists_its_own_class(run: Run) -> None:
    assert stripped(run("qvm-usb")[1])[1:] == [["dom0:1-6", "usb 1-6"]]
    assert stripped(run("qvm-device usb", "list")[1])[1:] == [["dom0:1-6", "usb 1-6"]]
    assert stripped(run("qvm-device usb")[1])[1:] == [["dom0:1-6", "usb 1-6"]]
    assert run("qvm-device mic") == (DONE, [], [])


def test_pci_devices_are_listed_by_the_name_that_stays_or_their_address(run: Run) -> None:
    assert stripped(run("qvm-pci")[1])[1:] == [["dom0:00_1c.0-00_00.0", "pci 0000_02_00.0"]]
    for option in ("--with-sbdf", "--resolve-paths"):
        assert stripped(run("qvm-pci", "list", option)[1])[1:] == [["dom0:0000_02_00.0", "pci 0000_02_00.0"]]
        assert stripped(run("qvm-device pci", "list", option)[1])[1:] == [["dom0:0000_02_00.0", "pci 0000_02_00.0"]]


def test_a_list_may_be_that_of_some_domains(run: Run, kinds: dict[DeviceClass, FakeKind], host: str) -> None:
    kinds[USB].had = [(key(host), CAMERA, "p")]
    kinds[USB].devices.append(FakeDevice("1-7", "", USB))
    for words, ports in (
        ((), ["1-6", "1-7"]),
        (("--all",), ["1-6", "1-7"]),
        (("work",), ["1-6"]),
        (("Vault",), []),
        (("--exclude", "work"), ["1-7"]),
        (("--exclude", "Vault"), ["1-6", "1-7"]),
    ):
        code, out, _err = run("qvm-usb", "list", *words)
        assert (code, [row[0] for row in stripped(out)[1:]]) == (DONE, [f"dom0:{port}" for port in ports]), words


def test_what_domains_are_to_have_is_listed_where_it_is_asked_for(run: Run, host: str) -> None:
    assign(
        host,
        Assignment(BLOCK, "usb-2-1", ANY, Mode.ASK, (("bus", "scsi"), ("read-only", "yes"))),
        Assignment(BLOCK, ANY, "Acme_1", Mode.REQUIRED),
        Assignment(USB, "usb-1-6", ANY),
    )
    wanted = [
        ["dom0:usb-2-1:*", "ask-to-attach, bus=scsi read-only=yes", "for work"],
        ["dom0:*:Acme_1", "required", "for work"],
    ]
    for option in ("-s", "--assignments"):
        rows = stripped(run("qvm-block", "list", option)[1])
        assert [row for row in rows if "for work" in row] == wanted
    assert not [row for row in stripped(run("qvm-block", "list")[1]) if "for work" in row]
    assert not [row for row in stripped(run("qvm-block", "list", "-s", "Vault")[1]) if "for work" in row]
    assert not [row for row in stripped(run("qvm-block", "list", "-s", "--exclude", "work")[1]) if "for work" in row]
    assert ["dom0:usb-1-6:*", "auto-attach", "for work"] in stripped(run("qvm-usb", "list", "-s", "work")[1])


def test_the_words_of_a_device_do_no_harm_to_a_terminal(run: Run, kinds: dict[DeviceClass, FakeKind]) -> None:
    kinds[USB].devices = [FakeDevice("1-\x1b[31m\n9", "", USB, "usb-\u202e1", in_use="\x1b]0;x\x07")]
    for words in (("list",), ("info",)):
        _code, out, _err = run("qvm-usb", *words)
        assert all(line.isprintable() for line in out)


def test_the_classes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        qvm_device.main(["--list-device-classes"])
    assert (ended.value.code, capsys.readouterr().out.split()) == (DONE, ["block", "usb", "pci", "mic"])
    with pytest.raises(SystemExit):
        qvm_device.main(["floppy", "list"])


# Giving and taking.


@pytest.mark.parametrize("name", ["dom0:1-6", "1-6", "dom0:usb-1-6", f"dom0:1-6:{CAMERA.ident}", f"*:{CAMERA.ident}"])
@pytest.mark.parametrize("action", ["attach", "at", "a"])
def test_a_device_is_given_after_what_is_to_be_known(
    run: Run, kinds: dict[DeviceClass, FakeKind], name: str, action: str
) -> None:
    if name.startswith("*"):
        name = f"dom0:{name}"
    code, out, err = run("qvm-usb", action, "work", name, "-o", "speed=9")
    assert (code, out, err) == (DONE, ["work has 1-6 as place0"], ["beware of 1-6"])
    assert kinds[USB].calls == [("give", WORK, "1-6", "speed=9")]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["attach", "work", "dom0:9-9"], "this machine has no usb device dom0:9-9"),
        (["attach", "work", "dom0:1-6:other"], "at 1-6 there is another device than other: it says that it is 04f2"),
        (["attach", "work", "sys-usb:1-6"], "backend: 'sys-usb' cannot be used; only dom0 has devices to give"),
        (["attach", "work", "dom0:*:*"], "device: 'dom0:*:*' cannot be used"),
        (["attach", "nobody", "dom0:1-6"], "no such domain: nobody"),
        (["attach", "dom0", "dom0:1-6"], "dom0 is this machine; its devices are its own"),
        (["attach", "work", "dom0:1-6", "-o", "speed"], "option: 'speed' cannot be used; use NAME=VALUE"),
        (["attach", "work", "dom0:1-6", "-o", "bus=usb"], "option: 'bus=usb' cannot be used"),
        (["attach", "work", "dom0:1-6", "--ro"], "option: 'read-only=True' cannot be used"),
        # Options are looked at first: they are wrong whatever is there.
        (["attach", "work", "dom0:9-9", "-o", "bus=usb"], "option: 'bus=usb' cannot be used"),
        (["detach", "work", "dom0:1-6"], "“work” does not have dom0:1-6"),
        (["detach", "nobody"], "no such domain: nobody"),
        (["assign", "work", "dom0:1-6", "--required"], "no domain can require a usb device"),
        (["assign", "work", "dom0:9-9", "--device"], "dom0:9-9 is not there: write its ident too"),
        (["unassign", "work"], "nothing like that is assigned to “work”"),
        (["unassign", "work", "dom0:1-6"], "nothing like that is assigned to “work”"),
        (["info", "dom0:9-9"], "this machine has no usb device dom0:9-9"),
        (["list", "nobody"], "no such domain: nobody"),
        (["list", "--exclude", "nobody"], "no such domain: nobody"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    run: Run, kinds: dict[DeviceClass, FakeKind], words: list[str], line: str
) -> None:
    code, out, err = run("qvm-usb", *words)
    assert (code, out) == (FAILED, [])
    assert len(err) == 1 and err[0].startswith(line)
    assert kinds[USB].calls == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("qvm-usb", ["assign", "work", "x", "--ask", "--required"]),
        ("qvm-usb", ["assign", "work", "x", "--port", "--device"]),
        ("qvm-usb", ["unassign", "work", "x", "--port", "--device"]),
        ("qvm-usb", ["attach", "work"]),
        ("qvm-usb", ["detach"]),
        ("qvm-usb", ["steal", "work"]),
        ("qvm-usb", ["list", "--with-sbdf"]),
        ("qvm-device", []),
    ],
)
def test_what_does_not_go_together_is_no_usage(command: str, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        MAINS[command](words)
    assert ended.value.code == 2


@pytest.mark.parametrize("name", ["dom0:1-6", "1-6", "dom0:usb-1-6", "dom0:place"])
def test_a_device_is_taken_by_any_of_its_names(
    run: Run, kinds: dict[DeviceClass, FakeKind], host: str, name: str
) -> None:
    kinds[USB].had = [(key(host), CAMERA, "place")]
    assert run("qvm-usb", "detach", "work", name) == (DONE, ["1-6 is free"], [])
    assert kinds[USB].calls == [("take", WORK, "1-6")]


def test_without_a_name_all_of_the_class_are_taken_and_one_that_fails_keeps_none(
    run: Run, kinds: dict[DeviceClass, FakeKind], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FakeDevice("1-7", "", USB)
    kinds[USB].had = [(key(host), CAMERA, "a"), (key(host), other, "b")]
    take = kinds[USB].take

    async def fail_first(holder: object, device: FakeDevice, **more: object) -> str:
        if device == CAMERA:
            raise Refused("it is in use")
        return await take(holder, device, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(kinds[USB], "take", fail_first)
    assert run("qvm-usb", "detach", "work") == (FAILED, ["1-7 is free"], ["it is in use"])
    monkeypatch.setattr(kinds[USB], "take", take)
    assert run("qvm-usb", "d", "work") == (DONE, ["1-6 is free"], [])
    assert run("qvm-usb", "dt", "work") == (DONE, [], [])


def test_without_a_name_the_disks_that_a_domain_is_made_of_stay(
    run: Run, kinds: dict[DeviceClass, FakeKind], host: str
) -> None:
    kinds[BLOCK].had = [(key(host), FakeDevice("/pool/root"), "vda"), (key(host), STICK, "sdx")]
    assert run("qvm-block", "detach", "work") == (DONE, ["sdb is free"], [])


def test_what_is_required_is_taken_by_force_alone(run: Run, kinds: dict[DeviceClass, FakeKind], host: str) -> None:
    assign(host, Assignment(BLOCK, "usb-2-1", ANY, Mode.REQUIRED))
    kinds[BLOCK].had = [(key(host), STICK, "sdx")]
    code, out, err = run("qvm-block", "detach", "work", "dom0:sdb")
    assert (code, out) == (FAILED, []) and err[0].startswith("“work” requires block sdb and runs")
    assert run("qvm-block", "detach", "--force", "work", "dom0:sdb")[0] == DONE
    assert kinds[BLOCK].calls == [("take", WORK, "sdb", "force")]


# What domains are to have.


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["dom0:sdb"], "dom0:usb-2-1:Acme_1 (auto-attach)"),
        (["dom0:usb-2-1"], "dom0:usb-2-1:Acme_1 (auto-attach)"),
        (["dom0:sdb", "--port"], "dom0:usb-2-1:* (auto-attach)"),
        (["dom0:sdb", "--only-port"], "dom0:usb-2-1:* (auto-attach)"),
        (["dom0:sdb:*"], "dom0:usb-2-1:* (auto-attach)"),
        (["dom0:sdb", "--device"], "dom0:*:Acme_1 (auto-attach)"),
        (["dom0:sdb", "--only-device"], "dom0:*:Acme_1 (auto-attach)"),
        (["dom0:*:Acme_1"], "dom0:*:Acme_1 (auto-attach)"),
        (["dom0:sdb", "--ask"], "dom0:usb-2-1:Acme_1 (ask-to-attach)"),
        (["dom0:sdb", "--ask-to-attach"], "dom0:usb-2-1:Acme_1 (ask-to-attach)"),
        (["dom0:sdb", "--required"], "dom0:usb-2-1:Acme_1 (required)"),
        (["dom0:sdb", "-r"], "dom0:usb-2-1:Acme_1 (required)"),
        # What says nothing of itself is known by where it is.
        (["dom0:sda"], "dom0:at-sda:* (auto-attach)"),
        # What is not there is known by what is written.
        (["dom0:usb-9"], "dom0:usb-9:* (auto-attach)"),
        (["dom0:usb-9:X_1"], "dom0:usb-9:X_1 (auto-attach)"),
        (["dom0:usb-9:X_1", "--device"], "dom0:*:X_1 (auto-attach)"),
    ],
)
@pytest.mark.parametrize("action", ["assign", "s"])
def test_a_device_is_assigned_by_port_and_ident_or_one_of_them(
    run: Run, kinds: dict[DeviceClass, FakeKind], words: list[str], line: str, action: str
) -> None:
    code, out, err = run("qvm-block", action, "work", *words)
    assert (code, out[0]) == (DONE, f"work is to have {line}")
    # What it brings is said where it is known which device that is.
    assert err in ([], ["beware of sda"], ["beware of sdb"])
    assert kinds[BLOCK].calls == [], "it is not given now"


def test_how_to_give_it_now_is_said_where_that_goes(run: Run) -> None:
    assert run("qvm-block", "assign", "work", "dom0:sdb")[1][1:] == ["to give it now: qvm-block attach work dom0:sdb"]
    assert run("qvm-block", "assign", "work", "dom0:usb-9")[1][1:] == []
    assert run("qvm-block", "assign", "debian", "dom0:sdb")[1][1:] == []


def test_options_stay_with_an_assignment(run: Run, kinds: dict[DeviceClass, FakeKind]) -> None:
    code, _out, err = run("qvm-block", "assign", "work", "dom0:sdb", "-o", "speed=9", "-o", "bus=usb")
    assert (code, err) == (FAILED, ["option: 'bus=usb' cannot be used; use speed"])
    assert run("qvm-block", "assign", "work", "dom0:sdb", "-o", "speed=9")[0] == DONE


def test_another_device_in_its_place_is_not_assigned(run: Run) -> None:
    code, out, err = run("qvm-block", "assign", "work", "dom0:sdb:Evil")
    assert (code, out) == (FAILED, [])
    assert err[0].startswith("at sdb there is another device than Evil")


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        ([], ["dom0:usb-2-1:*", "dom0:usb-2-1:Acme_1", "dom0:*:Acme_1"]),
        (["dom0:sdb"], ["dom0:usb-2-1:*", "dom0:usb-2-1:Acme_1", "dom0:*:Acme_1"]),
        (["--port"], ["dom0:usb-2-1:*"]),
        (["--device"], ["dom0:*:Acme_1"]),
        (["dom0:sdb", "--port"], ["dom0:usb-2-1:*"]),
        (["dom0:usb-2-1:Acme_1", "--device"], ["dom0:*:Acme_1"]),
    ],
)
def test_what_is_assigned_is_taken_away_again(run: Run, host: str, words: list[str], gone: list[str]) -> None:
    assign(
        host,
        Assignment(BLOCK, "usb-2-1", ANY),
        Assignment(BLOCK, "usb-2-1", "Acme_1", Mode.REQUIRED),
        Assignment(BLOCK, ANY, "Acme_1", Mode.ASK),
        Assignment(USB, "usb-1-6", ANY),
    )
    code, out, err = run("qvm-block", "unassign", "work", *words)
    assert (code, err) == (DONE, [])
    assert sorted(out) == sorted(f"work is not to have {name} any more" for name in gone)


def test_what_is_not_there_can_be_taken_away_by_its_name(run: Run, host: str) -> None:
    assign(host, Assignment(BLOCK, "usb-9", "X_1"), Assignment(BLOCK, "usb-8", ANY))
    assert run("qvm-block", "unassign", "work", "dom0:usb-9:X_1")[1] == ["work is not to have dom0:usb-9:X_1 any more"]
    assert run("qvm-block", "u", "work", "dom0:usb-9")[1] == ["work is not to have dom0:usb-9:X_1 any more"]
    assert run("qvm-block", "unassign", "work", "dom0:usb-7")[0] == FAILED


@pytest.mark.parametrize(
    ("command", "name", "line"),
    [
        ("qvm-block", "dom0:sdb", "dom0:usb-2-1:Acme_1"),
        ("qvm-block", "dom0:/dev/sdb", "dom0:usb-2-1:Acme_1"),
        ("qvm-block", "dom0:sda", "dom0:at-sda:*"),
        ("qvm-usb", "dom0:1-6", "dom0:usb-1-6:04f2:b5a7::u0e0100"),
    ],
)
def test_persistent_gives_it_now_and_at_each_start(
    run: Run, kinds: dict[DeviceClass, FakeKind], monkeypatch: pytest.MonkeyPatch, command: str, name: str, line: str
) -> None:
    made: list[Assignment] = []

    async def note(_devices: Devices, _key: DomainKey, assignment: Assignment) -> None:
        assignment.check()
        made.append(assignment)

    monkeypatch.setattr(Devices, "assign", note)
    assert run(command, "attach", "-p", "work", name)[0] == DONE
    (one,) = made
    assert (one.name.text, one.mode) == (line, Mode.AUTO if command == "qvm-usb" else Mode.REQUIRED)


# What is known of a device.


def test_a_device_says_what_is_known_of_it(run: Run, kinds: dict[DeviceClass, FakeKind], host: str) -> None:
    kinds[BLOCK].had = [(key(host), PART, "sdx")]
    code, out, err = run("qvm-block", "info", "dom0:sdb1")
    assert (code, err) == (DONE, [])
    assert dict(row for row in stripped(out)) == {
        "FACT": "VALUE",
        "device": "dom0:sdb1",
        "location": "usb-2-1-part1",
        "device id": "Acme_1:1",
        "description": "block sdb1",
        "interfaces": "b******",
        "part of": "sdb",
        "used by": "work (sdx)",
    }
    assert "(it says nothing of itself)" in "\n".join(run("qvm-block", "i", "dom0:sda")[1])
    assert sum(line.startswith("device ") for line in run("qvm-block", "info")[1]) == 6


# What is wrong.


@pytest.mark.parametrize("path", ["/media/stick.img", "/no/such.img"])
def test_a_file_that_is_named_is_told_of_or_refused(host: str, capsys: pytest.CaptureFixture[str], path: str) -> None:
    code = qvm_block.main(["-c", host, "info", f"dom0:{path}"])
    assert capsys.readouterr().out or code == FAILED


def test_a_file_that_could_never_come_is_not_assigned(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert qvm_block.main(["-c", host, "assign", "--required", "work", "dom0:/no/such.img"]) == FAILED


def test_a_pci_device_can_be_given_persistently(run: Run, kinds: dict[DeviceClass, FakeKind]) -> None:
    assert run("qvm-pci", "attach", "--persistent", "debian", f"dom0:{CARD.port}")[::2] == (
        DONE,
        [f"beware of {CARD.port}"],
    )
    assert len(kinds[PCI].had) == 1
