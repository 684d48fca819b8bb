"""OpenSSH and a network for two small guests, for what ``scp`` takes between them: QEMU joins their network cards.

The parts are Debian's packages, fetched with apt as those of the small guest are; nothing is installed.
"""

import lzma
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import libvirt

from qubes_manager.backend.guests import tiny_guest
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.core.domain import DomainKey
from tests.integration.conftest import World
from tests.python_guest import with_files

_PROGRAMS = {
    "openssh-server": ("usr/sbin/sshd",),
    "openssh-client": ("usr/bin/ssh", "usr/bin/scp"),
    "openssh-sftp-server": ("usr/lib/openssh/sftp-server",),
}
_MODULES = ("net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net")
_PORT = 54_322
_CARD = """<interface type='{kind}'><mac address='52:54:00:00:00:0{number}'/><source address='127.0.0.1' port='{port}'/>
<model type='virtio'/></interface>"""
_START = """
for module in failover net_failover virtio_net; do insmod /etc/$module.ko; done
ip addr add 10.9.8.{number}/24 dev eth0 && ip link set eth0 up
chmod 600 /etc/ssh.key; cp /etc/ssh.key /tmp/ssh.key; chown user /tmp/ssh.key
echo sshd:x:100:100::/run/sshd:/bin/false >>/etc/passwd; mkdir -p /run/sshd /var/empty
/usr/sbin/sshd -f /dev/null -h /etc/ssh.key -o UsePAM=no -o StrictModes=no -o AuthorizedKeysFile=/etc/ssh.key.pub \\
  -o "Subsystem sftp /usr/lib/openssh/sftp-server"
"""
SCP = "scp -q -i /tmp/ssh.key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null {path} user@10.9.8.2:/tmp/got"


def with_ssh(guest: TinyGuest, folder: Path) -> TinyGuest:
    """The guest with OpenSSH and drivers of network cards, made in *folder*; raises QubesManagerError."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        return with_files(guest, folder, dict(_files(Path(name))))


def _files(work: Path) -> Iterator[tuple[str, bytes]]:
    names = tiny_guest._closure(tuple(_PROGRAMS))
    run_tool_now(["apt-get", *tiny_guest._APT, "download", tiny_guest._kernel_package(), *names], timeout=300, cwd=work)
    tree = work / "tree"
    for deb in sorted(work.glob("*.deb")):
        run_tool_now(["dpkg-deb", "-x", deb, tree], timeout=120)
    for module in _MODULES:
        path = next(tree.rglob(f"kernel/{module}.ko*"))
        data = path.read_bytes()
        yield f"etc/{path.name.split('.')[0]}.ko", lzma.decompress(data) if path.suffix == ".xz" else data
    libraries = [tree / place for place in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")]
    loader = next(path for folder in libraries for path in folder.glob("ld-linux-x86-64.so.2"))
    found = dict[str, bytes]()
    for place in (place for places in _PROGRAMS.values() for place in places):
        yield place, (tree / place).read_bytes()
        listing = run_tool_now([loader, "--library-path", ":".join(map(str, libraries)), "--list", tree / place])
        found |= {
            f"lib/{Path(path).name}": Path(path).read_bytes() for path in re.findall(r"=> (/\S+)", listing.decode())
        }
    yield from found.items()
    key = work / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    yield "etc/ssh.key", key.read_bytes()
    yield "etc/ssh.key.pub", key.with_suffix(".pub").read_bytes()


def plug_in(uri: str, *names: str) -> None:
    """Give two domains that do not run a network card each, joined by a cable."""
    connection = libvirt.open(uri)
    for number, (name, kind) in enumerate(zip(names, ("server", "client"), strict=True), 1):
        card = _CARD.format(kind=kind, number=number, port=_PORT)
        connection.defineXML(connection.lookupByName(name).XMLDesc().replace("</devices>", f"{card}</devices>"))
    connection.close()


async def start_ssh(world: World, *keys: DomainKey) -> None:
    """Set up what runs there."""
    for number, key in enumerate(keys, 1):
        errors = bytearray()
        line = _START.format(number=number)
        if await world.commands.run(key, line, user="root", err=errors.extend, startup_timeout=60):
            raise SystemExit(errors.decode())
