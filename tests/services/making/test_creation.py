"""What is refused before anything is made, and how a kernel from outside is told of its system.

What is made of images and templates is in tests/integration: test_creation.py, test_making.py, test_templates.py.
"""

import asyncio
import gzip
import hashlib
import subprocess
from pathlib import Path

import pytest

from qubes_manager.backend.domains.domain_actions import define, undefine
from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.guests.cloud_seed import write_seed
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainClass, DomainConfig, DomainKey
from qubes_manager.core.errors import BadInput, NotFound, QubesManagerError, Refused
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.making.creation import boot_words
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
        (app("debian", netvm="lan"), BadInput, "netvm: 'lan' cannot be used; the host’s networks are default"),
        (
            app("debian", netvm="bridge:"),
            BadInput,
            "netvm: 'bridge:' cannot be used; use isolated, open",
        ),
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


async def test_a_template_that_is_being_removed_is_no_new_domains(world: World) -> None:
    template = world.named("debian")
    async with domain_lock(template.key.uuid, "debian"):
        making = asyncio.create_task(world.creation.create(world.uri, app("debian")))
        done, _pending = await asyncio.wait({making}, timeout=0.3)
        assert not done, "it waits for who is at work on the template"
        await undefine(world.hosts.connection(world.uri), template.key.uuid, "debian")
    with pytest.raises(NotFound, match="the domain does not exist any more"):
        await making
    assert "new" not in await world.names()


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


@pytest.mark.parametrize("what", ["another file", "in use"])
async def test_an_image_that_is_not_what_was_moved_any_more_stays(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    image = tmp_path / "system.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"], check=True)

    async def make(*_words: object) -> DomainKey:
        if what == "another file":
            image.rename(tmp_path / "gone")
            image.write_text("of the user")
        else:
            disks = (DiskSpec(str(image)),)
            await define(
                world.hosts.connection(world.uri), "late", NewDomain("late", DomainConfig(), disks=disks).xml()
            )
        return world.named("own").key

    monkeypatch.setattr(world.creation, "_from_image", make)
    reason = "is not the same file any more" if what == "another file" else "“late” has it"
    with pytest.raises(Refused, match=f"“new” was made, but .*{reason}"):
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
            "clocksource=hpet qubes_manager.private",
        ),
    ],
)
def test_a_kernel_waits_for_a_private_volume_only_where_one_comes(virt_type: str, private: bool, words: str) -> None:
    assert boot_words(virt_type, private=private) == words


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "checked"])
async def test_a_disc_that_was_packed_or_checked_is_a_volume_of_the_domain(
    qemu_world: World, shared_folder: Path, packed: bool
) -> None:
    disc = shared_folder / "install.iso"
    write_seed(disc, "a")
    whole, checksum = disc.read_bytes(), ""
    if packed:
        disc = shared_folder / "install.iso.gz"
        disc.write_bytes(gzip.compress(whole))
    else:
        checksum = hashlib.sha256(whole).hexdigest()
    request = CreationRequest("installs", "red", image=disc, checksum=checksum, netvm="", memory=64, virt_mode="qemu")
    key = await qemu_world.creation.create(qemu_world.uri, request)
    try:
        disc.unlink()
        config = qemu_world.named("installs").config
        (drive,) = [d for d in config.disks if d.kind == "cdrom"]
        medium = next(v for v in config.volumes if v.role is Role.MEDIUM)
        assert Path(drive.source).name == medium.name
        assert Path(drive.source).read_bytes() == whole
        assert medium.digest == hashlib.sha256(whole).hexdigest()
        assert medium.verified == (f"sha256:{checksum}" if checksum else "")
        clone = await qemu_world.cloning.clone(key, "again")
        (copied,) = [d for d in qemu_world.named("again").config.disks if d.kind == "cdrom"]
        assert copied.source != drive.source
        assert Path(copied.source).read_bytes() == whole
        await qemu_world.removal.remove(clone)
    finally:
        await qemu_world.removal.remove(key)
    assert not Path(drive.source).exists()
