"""What is refused before anything is made, and how a kernel from outside is told of its system.

What is made of images and templates is in tests/integration: test_creation.py, test_making.py, test_templates.py.
"""

import subprocess
from pathlib import Path

import pytest

from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainClass, DomainConfig
from qubes_manager.core.errors import BadInput, NotFound, QubesManagerError, Refused
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.making.creation import boot_words, console_log_path
from tests.driver import FOLDER
from tests.services.conftest import MakeWorld, World

ROOT = OwnVolume(Role.ROOT, "qubes-manager", "debian.root@1.qcow2", 1)


@pytest.fixture
async def world(driver_world: MakeWorld) -> World:
    disk = DiskSpec(f"{FOLDER}/{ROOT.name}")
    template = DomainConfig(klass=DomainClass.TEMPLATE, revision=1, volumes=(ROOT,))
    rootless = DomainConfig(klass=DomainClass.TEMPLATE, revision=2, volumes=(ROOT,))
    domains = [
        NewDomain("debian", template, disks=(disk,)),
        NewDomain("rootless", rootless),
        NewDomain("own", DomainConfig()),
    ]
    return await driver_world(domains, [ROOT.name])


def app(template: str, **changes: object) -> CreationRequest:
    return CreationRequest("new", "red", DomainClass.APP, template=template, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "error", "reason"),
    [
        (CreationRequest("own", "red", image=Path("/x")), Refused, "there is a domain “own” already"),
        (CreationRequest("1st", "red", image=Path("/x")), BadInput, "name: '1st' cannot be used"),
        (CreationRequest("new", "red", image=Path("/no/image")), NotFound, "there is no file “/no/image”"),
        (app("nobody"), NotFound, "there is no TemplateVM “nobody”"),
        (app("own"), NotFound, "there is no TemplateVM “own”"),
        (app("rootless"), Refused, "the template “rootless” has no root that is whole yet"),
        (app("debian", default_dispvm="nobody"), NotFound, "there is no domain “nobody”"),
        (
            CreationRequest("new", "red", template="debian", pool="other"),
            Refused,
            "a system above its template's lies in the same pool, “qubes-manager”",
        ),
    ],
)
async def test_what_cannot_be_made_is_refused_before_anything_is(
    world: World, request_: CreationRequest, error: type[QubesManagerError], reason: str
) -> None:
    before = await world.names(), await world.volume_names()
    with pytest.raises(error, match=reason):
        await world.creation.create(world.uri, request_)
    assert (await world.names(), await world.volume_names()) == before


async def test_no_template_is_made_of_a_disc_to_install_from(world: World, tmp_path: Path) -> None:
    sectors = bytearray(64 << 10)
    sectors[32768:32774], sectors[34816:34822] = b"\x01CD001", b"\xffCD001"
    (tmp_path / "install.iso").write_bytes(sectors)
    request = CreationRequest("new", "red", DomainClass.TEMPLATE, image=tmp_path / "install.iso")
    with pytest.raises(Refused, match="install from the ISO into a StandaloneVM first"):
        await world.creation.create(world.uri, request)


async def test_an_image_that_is_not_taken_is_not_moved_away(world: World, tmp_path: Path) -> None:
    image = tmp_path / "system.img"
    subprocess.run(["qemu-img", "create", "-q", "-f", "raw", image, "1M"], check=True)
    with pytest.raises(Refused, match="is not a disk image"):
        await world.creation.create(world.uri, CreationRequest("new", "red", image=image, move=True))
    assert image.exists()


@pytest.mark.parametrize(
    ("virt_type", "private", "words"),
    [
        ("kvm", False, "root=LABEL=root rw console=ttyS0 quiet"),
        ("kvm", True, "root=LABEL=root rw console=ttyS0 quiet qubes_manager.private"),
        (
            "qemu",
            True,
            "root=LABEL=root rw console=ttyS0 quiet mitigations=off nokaslr tsc=reliable no_timer_check "
            "qubes_manager.private",
        ),
    ],
)
def test_a_kernel_waits_for_a_private_volume_only_where_one_comes(virt_type: str, private: bool, words: str) -> None:
    assert boot_words(virt_type, private=private) == words


def test_a_console_is_logged_where_the_hosts_folders_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = console_log_path("qemu:///session", "work")
    assert path == f"{tmp_path}/libvirt/qemu/log/work-console.log"
    assert Path(path).parent.is_dir()
    assert console_log_path("qemu+ssh://far/session", "work") == ""
