"""Building templates: a stand-in for mmdebstrap brings the packed system, all other tools are the real ones."""

import io
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from qubes_manager.backend.guests.debian_template import build_template, recipe_digest
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.core.errors import BadInput, NotFound, QubesManagerError, Refused
from qubes_manager.core.template_recipe import TemplateRecipe
from tests.heard_progress import HeardProgress

RECIPE = TemplateRecipe("bookworm", "https://mirror.example/debian", ("vim",), 3 << 30)
# Says its steps, keeps what it was told, and leaves the packed system where it was asked to.
MMDEBSTRAP = """#!/bin/sh
if [ "$1" = --unshare-helper ]; then shift; exec "$@"; fi
printf '%s\\n' "$@" >"$STAND_IN/argv"
echo 'I: running apt-get update...'
echo 'I: something that is nobody’s business'
echo 'I: creating tarball...'
for word; do case $word in
  *.tar) cp "$STAND_IN/system.tar" "$word" ;;
  *'=download /xpra/xpra.deb '*) echo package >"${word##* }" ;;
  *=sync-in*) find "$(echo "$word" | cut -d" " -f2)" -name "*.deb" -exec cat {} + >"$STAND_IN/packages" ;;
esac; done
"""


def pack(folder: Path, *names: str) -> None:
    """Make the packed system of empty files but for their own name in them."""
    with tarfile.open(folder / "system.tar", "w") as packed:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            packed.addfile(info, io.BytesIO(name.encode()))


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the stand-in and its packed system; the scratch folder is beside it."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "mmdebstrap").write_text(MMDEBSTRAP)
    (folder / "mmdebstrap").chmod(0o755)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN", str(folder))
    monkeypatch.setenv("QUBES_MANAGER_SCRATCH", str(tmp_path / "scratch"))
    pack(folder, "./boot/vmlinuz-6.1.0-9-amd64", "./boot/initrd.img-6.1.0-9-amd64", "./etc/hostname", "./dev/null")
    return folder


def test_a_packed_system_becomes_an_image_with_its_kernel_beside_it(stand_in: Path, tmp_path: Path) -> None:
    progress = HeardProgress()
    lines: list[str] = []
    built = build_template(RECIPE, tmp_path / "target", tmp_path / "kept", progress=progress, log_line=lines.append)
    assert built.kernel.read_bytes() == b"./boot/vmlinuz-6.1.0-9-amd64"
    assert built.initrd.read_bytes() == b"./boot/initrd.img-6.1.0-9-amd64"
    assert b"virtual size: 3 GiB" in run_tool_now(["qemu-img", "info", built.root])
    raw = tmp_path / "root.img"
    run_tool_now(["qemu-img", "convert", "-O", "raw", built.root, raw])
    assert run_tool_now(["/usr/sbin/debugfs", "-R", "cat /etc/hostname", raw]) == b"./etc/hostname"
    # The kernel brings the devices; nobody but root could make them here.
    assert b"null" not in run_tool_now(["/usr/sbin/debugfs", "-R", "ls /dev", raw])
    assert progress.steps == [
        "Reading the lists of packages",
        "Packing the system",
        "Making the file system",
        "Making the disk image",
    ]
    assert "I: something that is nobody’s business" in lines
    assert list((tmp_path / "scratch").iterdir()) == []


def test_the_recipe_is_what_is_asked_for(stand_in: Path, tmp_path: Path) -> None:
    build_template(RECIPE, tmp_path / "target", tmp_path / "kept")
    words = (stand_in / "argv").read_text().splitlines()
    (included,) = (word for word in words if word.startswith("--include="))
    assert included == f"--include={','.join(RECIPE.all_packages)}"
    assert words[-3:-2] + words[-1:] == [RECIPE.suite, RECIPE.mirror]
    # Without a mirror it is Debian's own, which mmdebstrap knows.
    build_template(replace(RECIPE, mirror=""), tmp_path / "other", tmp_path / "kept")
    assert (stand_in / "argv").read_text().splitlines()[-2] == RECIPE.suite


def test_of_several_kernels_the_newest_is_booted(stand_in: Path, tmp_path: Path) -> None:
    names = [f"./boot/{kind}-6.1.0-{number}-amd64" for number in (9, 10) for kind in ("vmlinuz", "initrd.img")]
    pack(stand_in, *names)
    built = build_template(RECIPE, tmp_path / "target", tmp_path / "kept")
    assert built.kernel.read_bytes() == b"./boot/vmlinuz-6.1.0-10-amd64"
    assert built.initrd.read_bytes() == b"./boot/initrd.img-6.1.0-10-amd64"


def test_a_build_that_fails_says_why_and_leaves_nothing(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(stand_in, "./etc/hostname")
    with pytest.raises(Refused, match=r"bring no kernel: add one \(linux-image-amd64\)"):
        build_template(RECIPE, tmp_path / "target", tmp_path / "kept")
    (stand_in / "mmdebstrap").write_text("#!/bin/sh\necho 'E: no route to the mirror'; exit 1\n")
    with pytest.raises(QubesManagerError, match="mmdebstrap failed: E: no route to the mirror"):
        build_template(RECIPE, tmp_path / "target", tmp_path / "kept")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NotFound, match="mmdebstrap is not installed"):
        build_template(RECIPE, tmp_path / "target", tmp_path / "kept")
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.usefixtures("stand_in")
def test_nothing_is_begun_with_a_bad_recipe_or_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="packages"):
        build_template(replace(RECIPE, packages=("vim; rm -rf /",)), tmp_path / "target", tmp_path / "kept")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=4 << 30))
    with pytest.raises(Refused, match=r"needs about 4.4 GiB in .*scratch, and 4.0 GiB are free"):
        build_template(RECIPE, tmp_path / "target", tmp_path / "kept")
    assert not (tmp_path / "tools/argv").exists()


def test_what_the_release_lacks_is_built_first_and_goes_into_the_guest(stand_in: Path, tmp_path: Path) -> None:
    build_template(RECIPE, tmp_path / "target", tmp_path / "kept")
    assert (stand_in / "packages").read_text() == ""
    assert not (tmp_path / "kept").exists()
    recipe = replace(RECIPE, suite="trixie")
    progress = HeardProgress()
    build_template(recipe, tmp_path / "other", tmp_path / "kept", progress=progress)
    assert progress.steps[0] == "xpra 6.5.5: reading the lists of packages"
    assert (stand_in / "packages").read_text() == "package\n"
    assert len(list((tmp_path / "kept").glob("xpra-6.5.5-trixie-*.deb"))) == 1
    # What it needs is among the packages, and nothing of what it is built with.
    words = (stand_in / "argv").read_text().splitlines()
    [included] = [word for word in words if word.startswith("--include=")]
    installed = set(included.removeprefix("--include=").split(","))
    assert recipe.source_build
    assert set(recipe.source_build.libraries) <= installed
    assert not set(recipe.source_build.tools) & installed
    build_template(replace(recipe, windows=False), tmp_path / "bare", tmp_path / "none")
    assert (stand_in / "packages").read_text() == ""
    assert not (tmp_path / "none").exists()


def test_another_recipe_is_built_anew_and_the_same_is_not() -> None:
    assert recipe_digest(RECIPE) == recipe_digest(replace(RECIPE))
    changed = [replace(RECIPE, packages=("emacs",)), replace(RECIPE, size=4 << 30), replace(RECIPE, suite="trixie")]
    assert len({recipe_digest(recipe) for recipe in (RECIPE, *changed)}) == 4
