"""A small template for tests: the tiny guest with a root disk that it mounts on demand."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from qubes_manager.backend import storage
from qubes_manager.backend.host_tools import run_tool_now
from qubes_manager.backend.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.tiny_guest import TinyGuest
from qubes_manager.core.domain import DomainClass, DomainConfig, DomainKey
from qubes_manager.core.labels import LABELS
from qubes_manager.core.volumes import OwnVolume, Role, volume_name
from qubes_manager.services.making import Made, make_domain, never, no_progress, plan_upload
from tests.integration.conftest import World

# The tiny guest's own words (services/demo.py), and a mount of its disks, which it does not do by itself.
_CMDLINE = "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable no_timer_check"
MOUNT = """
mkdir -p /sys_root
modprobe virtio_blk; modprobe crc32c_generic; modprobe ext4
grep -q ' /sys_root ' /proc/mounts || mount -t ext4 /dev/vda /sys_root
"""


async def make_tiny_template(world: World, guest: TinyGuest, folder: Path, name: str = "tiny") -> DomainKey:
    """A TemplateVM whose root is an empty file system of 16 MiB."""
    image = folder / f"{name}.img"
    image.write_bytes(b"")
    with image.open("r+b") as file:
        file.truncate(16 << 20)
    run_tool_now(["/usr/sbin/mke2fs", "-q", "-t", "ext2", image])
    root = folder / f"{name}.qcow2"
    run_tool_now(["qemu-img", "convert", "-O", "qcow2", image, root])
    connection = world.hosts.connection(world.uri)
    await storage.ensure_pool(connection)
    own = str(uuid.uuid4())

    def record(role: Role, ending: str, revision: int = 0) -> OwnVolume:
        return OwnVolume(role, storage.POOL, volume_name(name, own, role, ending, revision), revision)

    plans = [
        plan_upload(connection, record(role, ending, revision), path, no_progress, never)
        for role, ending, revision, path in (
            (Role.KERNEL, "vmlinuz", 0, guest.kernel),
            (Role.INITRD, "img", 0, guest.initrd),
            (Role.ROOT, "qcow2", 1, root),
        )
    ]
    config = DomainConfig(label=LABELS["black"], klass=DomainClass.TEMPLATE, revision=1)
    draft = NewDomain(name, config, own, memory=256, vcpus=1, virt_type="qemu", cmdline=_CMDLINE, graphics=False)

    async def finish(made: Made) -> NewDomain:
        disks = (DiskSpec(made[Role.ROOT].path),)
        return replace(draft, disks=disks, kernel=made[Role.KERNEL].path, initrd=made[Role.INITRD].path)

    return await make_domain(world.hosts, world.uri, draft, plans, finish)


async def say(world: World, key: DomainKey, command: str) -> str:
    """Run a command in a running guest as root, with its disks mounted, and return what it prints."""
    out: list[bytes] = []
    heard: Callable[[bytes], None] = out.append
    code = await world.commands.run(key, f"{MOUNT}\n{command}", user="root", out=heard, err=heard, startup_timeout=90)
    text = b"".join(out).decode()
    assert code == 0, text
    return text.strip()


async def pool_files(world: World) -> list[str]:
    """The files in our pool, as the host's file system has them."""
    connection = world.hosts.connection(world.uri)
    await storage.ensure_pool(connection)
    raw = await connection.call("find the pool", lambda raw: raw.storagePoolLookupByName(storage.POOL).XMLDesc())
    folder = raw.partition("<path>")[2].partition("</path>")[0]
    return sorted(p.name for p in Path(folder).iterdir())
