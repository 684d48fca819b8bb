"""A small template for tests: the tiny guest with a root disk that it mounts on demand."""

from collections.abc import Callable
from pathlib import Path

from qubes_manager.backend.guests.debian_template import BuiltTemplate
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.storage import volume_store
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.template_recipe import TemplateRecipe
from tests.integration.conftest import World

# A mount of its disk, which the tiny guest does not do by itself; its drivers come behind its agent.
MOUNT = """
mkdir -p /sys_root
modprobe virtio_blk; modprobe crc32c_generic; modprobe ext4
for try in $(seq 300); do
  grep -q ' /sys_root ' /proc/mounts && break
  mount -t ext4 /dev/vda /sys_root 2>/dev/null && break
  sleep 0.2
done
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
    await volume_store.ensure_pool(world.hosts.connection(world.uri))
    built = BuiltTemplate(root, guest.kernel, guest.initrd)
    return await world.templates.make(world.uri, name, TemplateRecipe(windows=False), built, 256, 1)


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
    await volume_store.ensure_pool(connection)
    raw = await connection.call("find the pool", lambda raw: raw.storagePoolLookupByName(volume_store.POOL).XMLDesc())
    folder = raw.partition("<path>")[2].partition("</path>")[0]
    return sorted(p.name for p in Path(folder).iterdir())
