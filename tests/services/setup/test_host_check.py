"""What is said of a machine. Machines with and without this and that are not to be had, so their facts are made up;
those of the real one are read in tests/integration/test_making.py."""

from collections.abc import Callable

import pytest

from qubes_manager.backend.host import host_facts
from qubes_manager.backend.viewers import needs
from qubes_manager.services.network.isolation import Emulator, Isolation
from qubes_manager.services.setup.host_check import Finding, HostCheck, Verdict, _groups
from tests.services.conftest import MakeWorld, World

GIB = 1 << 30
GOOD, POOR, BAD = Verdict.GOOD, Verdict.POOR, Verdict.BAD
Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine that has all, until it is said what is different."""

    def have(**facts: object) -> None:
        for name, value in facts.items():
            place = needs if hasattr(needs, name) else host_facts
            assert hasattr(place, name)
            monkeypatch.setattr(place, name, lambda *_args, found=value: found)

    have(
        can_open_kvm=True,
        iommu_groups=12,
        memory=(16 * GIB, 10 * GIB),
        free_space=100 * GIB,
        in_group=True,
        has_tool=True,
        has_identities=True,
        windows_trouble=("", ""),
        shares_screen=False,
        sound_trouble=("", ""),
        host_validation=[],
        read_versions=host_facts.Versions("9.0.0", "QEMU 7.2.0", True),
    )
    return have


def check_of(world: World, trouble: str = "") -> HostCheck:
    """A check on a machine whose domains can have networks of their own, but for *trouble*."""

    class Known(Isolation):
        async def emulator(self, uri: str) -> Emulator:
            return Emulator("/usr/bin/qemu-system-x86_64", "" if trouble else "/ours", trouble)

    return HostCheck(world.hosts, Known(world.hosts))


async def found(world: World) -> dict[str, Finding]:
    return {finding.title: finding for finding in await check_of(world).run(world.uri)}


async def test_a_machine_that_has_all_needs_no_advice(qemu_world: World, machine: Machine) -> None:
    findings = (await found(qemu_world)).values()
    assert {finding.verdict for finding in findings} == {GOOD}
    assert not [finding for finding in findings if finding.advice]


NO_KVM = host_facts.Versions("9.0.0", "QEMU 7.2.0", False)


@pytest.mark.parametrize(
    ("title", "facts", "verdict", "words"),
    [
        ("KVM", {"read_versions": NO_KVM, "can_open_kvm": None}, POOR, "this machine has none"),
        ("KVM", {"read_versions": NO_KVM, "can_open_kvm": False}, POOR, "“usermod -aG kvm YOU”"),
        ("KVM", {"read_versions": NO_KVM}, POOR, "libvirt does not offer it"),
        ("KVM", {"can_open_kvm": False}, GOOD, "libvirt offers it"),
        ("IOMMU", {"iommu_groups": 0}, POOR, "Switch VT-d or AMD-Vi on"),
        ("memory", {"memory": (GIB, GIB)}, BAD, "Run few domains at once"),
        ("memory", {"memory": (2 * GIB, GIB)}, POOR, "Run few domains at once"),
        ("memory", {"memory": (8 * GIB, GIB)}, GOOD, "8.0 GiB, 1.0 GiB of it available"),
        ("disk", {"free_space": 5 * GIB - 1}, BAD, "A template takes 2 to 5 GiB"),
        ("disk", {"free_space": 5 * GIB}, POOR, "A template takes 2 to 5 GiB"),
        ("disk", {"free_space": 30 * GIB}, GOOD, "30.0 GiB free for volumes"),
        ("virtlogd", {"has_tool": False}, POOR, "can fill the disk"),
        ("building templates", {"has_tool": False}, POOR, "newuidmap not installed Install them"),
        ("building templates", {"has_identities": False}, POOR, "usermod --add-subuids"),
        ("application windows", {"windows_trouble": ("no bwrap", "Get it.")}, POOR, "no bwrap Get it."),
        ("windows apart", {"shares_screen": True}, POOR, "Wayland keeps them apart"),
        ("sound", {"sound_trouble": ("no sound server answers", "Run one.")}, POOR, "no sound server answers Run one."),
        ("virt-host-validate: for x", {"host_validation": [("for x", "FAIL", "do y")]}, POOR, "do y"),
    ],
)
async def test_what_is_missing_is_said_with_what_to_do(
    qemu_world: World, machine: Machine, title: str, facts: dict[str, object], verdict: Verdict, words: str
) -> None:
    machine(**facts)
    finding = (await found(qemu_world))[title]
    assert finding.verdict is verdict
    assert words in f"{finding.found} {finding.advice}"


async def test_packages_are_named_where_apt_is_there(
    qemu_world: World, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine()
    monkeypatch.setattr(host_facts, "has_tool", lambda name: name in ("apt-get", "qemu-img"))
    advice = (await found(qemu_world))["building templates"].advice
    assert advice == "Run “apt-get install mmdebstrap e2fsprogs uidmap”, or import an image instead."


async def test_of_what_the_validation_says_only_trouble_is_passed_on(qemu_world: World, machine: Machine) -> None:
    words = ("PASS", "NOTE", "WARN", "FAIL")
    machine(host_validation=[(word, word, "") for word in words])
    titles = [title for title in await found(qemu_world) if title.startswith("virt-host-validate")]
    assert titles == ["virt-host-validate: WARN", "virt-host-validate: FAIL"]


async def test_the_group_counts_for_the_systems_daemon_only(qemu_world: World, machine: Machine) -> None:
    machine(in_group=False)
    assert "group libvirt" not in await found(qemu_world)
    (finding,) = _groups("qemu:///system")
    assert (finding.verdict, "usermod -aG libvirt YOU" in finding.advice) == (BAD, True)


async def test_of_another_machine_only_libvirt_is_seen(driver_world: MakeWorld) -> None:
    findings = await found(await driver_world())
    assert list(findings) == ["libvirt", "machine"]
    assert findings["machine"].found == "it is not this one"


@pytest.mark.parametrize(
    ("uri", "is_root", "advice"),
    [
        ("qemu:///session", False, "Start libvirt, or choose another connection."),
        ("qemu:///session", True, "run this as yourself, or with -c qemu:///system."),
        ("qemu:///system", True, "Start libvirt, or choose another connection."),
    ],
)
async def test_a_libvirt_that_is_not_there_is_one_finding_among_the_others(
    driver_world: MakeWorld, machine: Machine, uri: str, is_root: bool, advice: str
) -> None:
    machine(is_root=is_root, can_open_kvm=True)
    check = check_of(await driver_world())
    gone, *others = await check.run(uri, "libvirtd is not running there")
    assert (gone.title, gone.verdict, gone.found) == ("libvirt", BAD, "libvirtd is not running there")
    assert gone.advice.endswith(advice)
    assert {"KVM", "memory", "application windows"} <= {finding.title for finding in others}
    assert {finding.verdict for finding in others} == {GOOD}


async def test_a_connection_that_broke_is_a_finding_and_no_error(driver_world: MakeWorld) -> None:
    world = await driver_world()
    await world.hosts.close()
    first, *_ = await check_of(world).run(world.uri)
    assert (first.title, first.verdict) == ("libvirt", BAD)


async def test_without_a_screen_nothing_is_said_of_what_it_keeps_apart(qemu_world: World, machine: Machine) -> None:
    machine(shares_screen=None)
    assert "windows apart" not in await found(qemu_world)


async def test_one_sentence_says_whether_windows_can_be_shown(driver_world: MakeWorld, machine: Machine) -> None:
    check = check_of(await driver_world())
    assert await check.windows_trouble() == ""
    machine(windows_trouble=("There is no xpra.", "Get it."))
    assert await check.windows_trouble() == "There is no xpra. Get it."
