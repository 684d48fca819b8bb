"""Builds the tiny guest: Debian's kernel and an initramfs of busybox and qemu-guest-agent that boots in seconds.

The parts are the Debian packages of the release that this machine runs, fetched with apt as any user; no root
is needed and nothing is installed. The result is cached under a digest of the recipe.
"""

import gzip
import hashlib
import lzma
import platform
import re
import shutil
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from qubes_manager.backend.guests import kernel_image
from qubes_manager.backend.guests.kernel_image import unpacked
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.core.errors import NotFound
from qubes_manager.core.progress import SILENT, Progress

_PACKAGES = ("busybox-static", "qemu-guest-agent")
# The cloud kernel has no USB, so the general one is taken.
_KERNEL_META = "linux-image-amd64"
_MODULES = [
    "virtio_pci",
    "virtio_console",
    "virtio_blk",
    "virtio_scsi",
    "virtio_balloon",
    "virtio_rng",
    "virtio_net",
    "ipv6",
    "af_packet",
    "xhci_pci",
    "usb_storage",
    "uas",
    "sd_mod",
    "ahci",
    "sr_mod",
    "isofs",
    # ext4 asks for this one only when it mounts something.
    "crc32c_generic",
    "ext4",
]
# There for who loads them: most have nothing to be heard.
_SOUND_MODULES = ["snd_hda_codec_generic", "snd_hda_intel", "snd_pcm_oss"]
# There for who gives a network to others.
_NETWORK_MODULES = ["nft_chain_nat", "nft_masq", "nft_ct"]
_AGENT = "usr/sbin/qemu-ga"
_APT = ("-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=1")


@dataclass(frozen=True, slots=True)
class TinyGuest:
    """The two files a domain boots from."""

    kernel: Path
    initrd: Path
    digest: str


def recipe_digest() -> str:
    """A short digest that changes with anything that would change the guest."""
    seen = hashlib.sha256()
    for part in (
        *_PACKAGES,
        *_MODULES,
        *_SOUND_MODULES,
        *_NETWORK_MODULES,
        _KERNEL_META,
        _guest_file("tiny-init.sh"),
        _guest_file("tiny-shutdown.sh"),
    ):
        seen.update(part.encode())
    for file in (__file__, kernel_image.__file__):
        seen.update(Path(file).read_bytes())
    seen.update(Path("/etc/os-release").read_bytes())
    return seen.hexdigest()[:12]


def build_tiny_guest(cache: Path, progress: Progress = SILENT) -> TinyGuest:
    """Return the tiny guest from *cache*, built first where it is not there yet; blocks for about 20 s then.

    Raises NotFound on a machine that is not an x86-64 Debian, Cancelled, QubesManagerError when a tool fails.
    """
    if platform.machine() != "x86_64" or not shutil.which("apt-get"):
        raise NotFound("the demo guest is built from Debian packages: it needs an x86-64 machine with apt")
    digest = recipe_digest()
    folder = cache / f"tiny-guest-{digest}"
    guest = TinyGuest(folder / "kernel", folder / "initrd.gz", digest)
    if guest.kernel.exists() and guest.initrd.exists():
        return guest
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work_name:
        work = Path(work_name)
        made = work / "made"
        made.mkdir()
        progress.raise_if_cancelled()
        progress.step("Fetching the parts of the demo guest")
        tree = _fetch(work)
        progress.raise_if_cancelled()
        progress.step("Putting the demo guest together")
        _assemble(tree, work / "root", made)
        made.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    return guest


def _guest_file(name: str) -> str:
    return (resources.files("qubes_manager.guest") / name).read_text("utf-8")


def _fetch(work: Path) -> Path:
    """Download the packages into *work* and unpack them below its ``tree``."""
    debs = work / "debs"
    debs.mkdir()
    run_tool_now(["apt-get", *_APT, "download", _kernel_package(), *_closure(_PACKAGES)], timeout=300, cwd=debs)
    tree = work / "tree"
    for deb in sorted(debs.glob("*.deb")):
        run_tool_now(["dpkg-deb", "-x", deb, tree], timeout=120)
    return tree


def _kernel_package() -> str:
    depends = run_tool_now(["apt-cache", "depends", _KERNEL_META]).decode()
    match = re.search(r"Depends: (linux-image-\S+)", depends)
    if not match:
        raise NotFound("apt knows no Debian kernel: run “apt-get update” as root and try again")
    return match[1]


def _closure(packages: tuple[str, ...]) -> list[str]:
    """The packages and the shared libraries that they need, by name."""
    no = ["--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances"]
    lines = run_tool_now(["apt-cache", "depends", "--recurse", *no, *packages]).decode().splitlines()
    names = {line for line in lines if re.match(r"[a-z]", line)}
    return sorted(name for name in names if name in packages or (name.startswith("lib") and "perl" not in name))


def _assemble(tree: Path, root: Path, made: Path) -> None:
    """Make kernel and initramfs in *made* from the unpacked packages."""
    for folder in ("bin", "sbin", "etc", "lib", "lib64", "proc", "sys", "dev", "usr"):
        (root / folder).mkdir(parents=True)
    busybox = root / "bin/busybox"
    shutil.copy2(next(p for p in tree.rglob("bin/busybox") if p.is_file()), busybox)
    for applet in run_tool_now([busybox, "--list"]).decode().split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    _copy_agent(tree, root)
    version = _copy_modules(tree, root)
    _write_configuration(root)
    kernel = next(p for p in tree.glob(f"boot/vmlinuz-{version}"))
    (made / "kernel").write_bytes(unpacked(kernel.read_bytes()))
    names = "\n".join(sorted(str(p.relative_to(root)) for p in root.rglob("*"))).encode() + b"\n"
    archive = run_tool_now([busybox, "cpio", "-o", "-H", "newc", "-R", "0:0"], cwd=root, data=names, timeout=60)
    (made / "initrd.gz").write_bytes(gzip.compress(archive, compresslevel=4, mtime=0))


def _copy_agent(tree: Path, root: Path) -> None:
    """Copy qemu-ga with the libraries that the unpacked loader resolves for it."""
    agent = tree / _AGENT
    shutil.copy2(agent, root / "bin/qemu-ga")
    folders = [tree / "lib/x86_64-linux-gnu", tree / "usr/lib/x86_64-linux-gnu"]
    loader = next(p for f in folders for p in f.glob("ld-linux-x86-64.so.2"))
    path = ":".join(map(str, folders))
    listing = run_tool_now([loader, "--library-path", path, "--list", agent]).decode()
    for name in re.findall(r"=> (/\S+)", listing):
        shutil.copyfile(name, root / "lib" / Path(name).name)
    shutil.copy2(loader.resolve(), root / "lib64/ld-linux-x86-64.so.2")


def _copy_modules(tree: Path, root: Path) -> str:
    """Copy the drivers and all they depend on; returns the kernel's version."""
    folder = next(p for base in ("lib/modules", "usr/lib/modules") for p in sorted((tree / base).glob("*")))
    version = folder.name
    depmod = shutil.which("depmod", path="/usr/sbin:/sbin:/usr/bin:/bin") or "depmod"
    base = folder.parent.parent.parent
    run_tool_now([depmod, "-b", base, version], timeout=120)
    needs = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path.rsplit("/", 1)[-1].split(".ko")[0].replace("-", "_")] = [path, *rest.split()]
    target = root / "lib/modules" / version
    for module in (*_MODULES, *_SOUND_MODULES, *_NETWORK_MODULES):
        for path in needs.get(module, ()):
            copy = target / path.removesuffix(".xz")
            copy.parent.mkdir(parents=True, exist_ok=True)
            data = (folder / path).read_bytes()
            copy.write_bytes(lzma.decompress(data) if path.endswith(".xz") else data)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        if (folder / name).exists():
            shutil.copyfile(folder / name, target / name)
    run_tool_now([depmod, "-b", root, version], timeout=60)
    return version


def _write_configuration(root: Path) -> None:
    for name, source in (("init", "tiny-init.sh"), ("sbin/shutdown", "tiny-shutdown.sh")):
        (root / name).write_text(_guest_file(source))
        (root / name).chmod(0o755)
    (root / "etc/modules").write_text("\n".join(_MODULES) + "\n")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nuser:x:1000:\n")
    # Empty password fields would let su ask for nothing; a star lets nobody in but root.
    (root / "etc/shadow").write_text("root:*:19000:0:99999:7:::\nuser:*:19000:0:99999:7:::\n")
