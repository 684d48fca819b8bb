"""A libvirtd of the system's kind, which root alone has: in a mount namespace of its own, away from this machine's."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import libvirt

from tests.waiting import wait_until

# Where such a libvirtd keeps what it knows, whatever it is told.
_PLACES = ("/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/run/libvirt")
_CONFIG = """
auth_unix_rw = "none"
unix_sock_dir = "/run/libvirt"
"""


@contextmanager
def system_daemon() -> Iterator[str]:
    """Its URI; it ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="qm-system-", dir="/var/tmp"))
    lines = ["set -e"]
    for place in _PLACES:
        own = folder / place.strip("/").replace("/", "-")
        own.mkdir()
        lines += [f"mkdir -p {place}", f"mount --bind {own} {place}"]
    # Debian's package makes its user, who must be known even where it is not used.
    for name, line in (("passwd", "libvirt-qemu:x:64055:64055::/:/bin/false"), ("group", "libvirt-qemu:x:64055:")):
        text = Path("/etc", name).read_text()
        (folder / name).write_text(text if "libvirt-qemu:" in text else f"{text.rstrip()}\n{line}\n")
        lines.append(f"mount --bind {folder / name} /etc/{name}")
    (folder / "etc-libvirt/libvirtd.conf").write_text(_CONFIG)
    (folder / "etc-libvirt/qemu.conf").write_text('stdio_handler = "file"\nuser = "root"\ngroup = "root"\n')
    program = shutil.which("libvirtd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "libvirtd"
    lines.append(f"exec {program} --config /etc/libvirt/libvirtd.conf --pid-file {folder / 'pid'}")
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", "\n".join(lines)], start_new_session=True, stdout=said, stderr=said
        )
    uri = f"qemu+unix:///system?socket={quote(str(folder / 'run-libvirt/libvirt-sock'))}"
    try:
        wait_until(lambda: process.poll() is not None or _answers(uri), "a system’s libvirtd answers")
        assert process.poll() is None, (folder / "said").read_text()
        yield uri
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(uri: str) -> bool:
    try:
        libvirt.open(uri).close()
    except libvirt.libvirtError:
        return False
    return True
