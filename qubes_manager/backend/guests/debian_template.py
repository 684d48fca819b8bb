"""Builds a Debian system for a template: root file system, kernel and initramfs, without root.

mmdebstrap makes the tree in a user namespace (or as root, where root runs this), mke2fs the file system from it.
"""

import hashlib
import os
import re
import shlex
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from qubes_manager.backend.guests.build_folder import build_folder, helper, scratch_folder
from qubes_manager.backend.guests.guest_tools import ToolFile, tool_files, tools_digest
from qubes_manager.backend.guests.xpra_package import xpra_package
from qubes_manager.backend.host.host_tools import run_long_tool
from qubes_manager.core.errors import Refused
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.sizes import format_size
from qubes_manager.core.template_recipe import TemplateRecipe

LineSink = Callable[[str], object]

# What goes where in the guest beside its tools: what only a system that we build ourselves may be given.
_FILES = {
    "setup.sh": ("usr/lib/qubes-manager/setup", 0o755),
    "80-dhcp.network": ("etc/systemd/network/80-dhcp.network", 0o644),
    "initramfs-modules": ("usr/share/initramfs-tools/modules.d/qubes-manager", 0o644),
    "initramfs-conf": ("usr/share/initramfs-tools/conf.d/qubes-manager", 0o644),
}
# What setup.sh installs, when it is there.
_PACKAGE = "usr/lib/qubes-manager/xpra.deb"
# mmdebstrap's own words for its steps, in the order in which they come, and ours.
_STEPS = {
    "running apt-get update": "Reading the lists of packages",
    "downloading packages with apt": "Downloading the base system",
    "extracting archives": "Unpacking the base system",
    "installing essential packages": "Installing the base system",
    "installing remaining packages": "Downloading and installing packages",
    "running --customize-hook": "Setting the system up",
    "cleaning package lists": "Cleaning up",
    "creating tarball": "Packing the system",
}
# Archive, tree and image lie on the disk together for a while.
_NEEDED_TIMES = 3
_TYPICAL_SIZE = 1500 << 20
_MKE2FS = "PATH=$PATH:/usr/sbin:/sbin mke2fs -q -t ext4 -L root -m 1 -E lazy_itable_init=0,lazy_journal_init=0"
# Nobody but the machine's own root may make device nodes; the kernel brings them anyway.
_UNPACK = 'mkdir "$1/tree" && tar -C "$1/tree" -xp --exclude="./dev/*" -f -'
_MAKE_FILE_SYSTEM = f'{_UNPACK} && {_MKE2FS} -d "$1/tree" "$1/root.img" "$2"'


@dataclass(frozen=True, slots=True)
class BuiltTemplate:
    """The files that a template's volumes are made of."""

    root: Path
    kernel: Path
    initrd: Path


def recipe_digest(recipe: TemplateRecipe) -> str:
    """A short digest that changes with anything that would change what is built, but not with the mirror's content."""
    seen = hashlib.sha256(repr(recipe).encode())
    for name in sorted(_FILES):
        seen.update(_guest_file(name).read_bytes())
    seen.update(tools_digest().encode())
    seen.update(Path(__file__).read_bytes())
    return seen.hexdigest()[:12]


def build_template(
    recipe: TemplateRecipe,
    target: Path,
    kept: Path,
    *,
    progress: Progress = SILENT,
    log_line: LineSink = lambda _line: None,
) -> BuiltTemplate:
    """Build the files of a template in the folder *target*; blocks for one to several minutes.

    What the recipe wants built from source is taken from the folder *kept*, or built first, and kept. *progress* is
    told the steps, *log_line* all that the tools say. Nothing is left behind when it is cancelled or fails. Raises
    BadInput, NotFound without the tools, Refused without room, Cancelled, QubesManagerError.
    """
    recipe.check()
    _refuse_without_room(target)
    with build_folder() as work:
        return _build(recipe, work, target, kept, progress, log_line)


def _build(
    recipe: TemplateRecipe, work: Path, target: Path, kept: Path, progress: Progress, log_line: LineSink
) -> BuiltTemplate:
    def on_line(line: str) -> None:
        log_line(line)
        step = next((words for theirs, words in _STEPS.items() if line.startswith(f"I: {theirs}")), "")
        if step:
            progress.step(step)

    archive, stage, made = work / "root.tar", work / "stage", work / "made"
    _stage(stage)
    if recipe.source_build:
        package = xpra_package(recipe, kept, progress=progress, log_line=log_line)
        shutil.copyfile(package, stage / _PACKAGE)
    environment = {"TMPDIR": str(work), "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    argv = _mmdebstrap(recipe, stage, archive)
    log_line(" ".join(argv))
    run_long_tool(argv, on_line=on_line, progress=progress, cwd=work, environment=environment)
    progress.step("Making the file system")
    made.mkdir()
    made.chmod(0o777)
    script = ["sh", "-ec", _MAKE_FILE_SYSTEM, "sh", str(made), f"{recipe.size >> 10}K"]
    run_long_tool([*helper(), *script], on_line=log_line, progress=progress, cwd=work, source=archive)
    progress.step("Making the disk image")
    target.mkdir(parents=True, exist_ok=True)
    built = BuiltTemplate(target / "root.qcow2", target / "vmlinuz", target / "initrd.img")
    _take_boot_files(archive, built)
    archive.unlink()
    convert: list[str | Path] = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", made / "root.img", built.root]
    run_long_tool(convert, on_line=log_line, progress=progress)
    return built


def _mmdebstrap(recipe: TemplateRecipe, stage: Path, archive: Path) -> list[str]:
    return [
        "mmdebstrap",
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        "--variant=apt",
        "--format=tar",
        '--aptopt=APT::Install-Recommends "false"',
        f"--include={','.join(recipe.all_packages)}",
        f"--essential-hook=sync-in {shlex.quote(str(stage))} /",
        '--customize-hook=chroot "$1" /usr/lib/qubes-manager/setup',
        recipe.suite,
        str(archive),
        *([recipe.mirror] if recipe.mirror else []),
    ]


def _stage(stage: Path) -> None:
    """Lay our files out as they go into the guest."""
    files = {place: ToolFile(_guest_file(name).read_bytes(), mode) for name, (place, mode) in _FILES.items()}
    for place, file in {**files, **tool_files()}.items():
        path = stage / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        path.chmod(file.mode)
    for folder in (stage, *(p for p in stage.rglob("*") if p.is_dir())):
        folder.chmod(0o755)


def _guest_file(name: str) -> Traversable:
    return resources.files("qubes_manager.guest") / "debian" / name


def _take_boot_files(archive: Path, built: BuiltTemplate) -> None:
    """Copy the newest kernel and its initramfs out of the packed system."""
    with tarfile.open(archive) as packed:
        kernels = [m for m in packed if m.isfile() and m.name.startswith(("./boot/vmlinuz-", "./boot/initrd.img-"))]
        for prefix, target in (("./boot/vmlinuz-", built.kernel), ("./boot/initrd.img-", built.initrd)):
            fitting = [m for m in kernels if m.name.startswith(prefix)]
            if not fitting:
                raise Refused("the packages that were chosen bring no kernel: add one (linux-image-amd64)")
            source = packed.extractfile(max(fitting, key=lambda m: _version(m.name)))
            assert source
            with source, target.open("wb") as file:
                shutil.copyfileobj(source, file)


def _version(name: str) -> list[tuple[str, int]]:
    """What orders kernels by their versions: 6.1.0-10 comes after 6.1.0-9."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D+)(\d*)", name)]


def _refuse_without_room(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    needed = _NEEDED_TIMES * _TYPICAL_SIZE
    free = shutil.disk_usage(scratch_folder()).free
    if free < needed:
        raise Refused(
            f"building a template needs about {format_size(needed)} in {scratch_folder()}, "
            f"and {format_size(free)} are free: "
            "make room, or name another folder in $QUBES_MANAGER_SCRATCH"
        )
