"""Where the display servers of guests run of which this machine has none: a tree of the guest's Debian release.

A tree holds nothing but the server and the libraries that it loads, as their packages bring them. It is made once and
kept.
"""

import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from qubes_manager.backend.guests.xpra_package import xpra_package
from qubes_manager.core.template_recipe import TemplateRecipe
from tests.conftest import CACHE, first_builds

SUITES = {"3.1": "bookworm", "6.5": "trixie"}
_BOOKWORM_SERVER = ("xpra", "python3-lz4", "python3-pil")
# Displays are of this machine, and their drivers are most of what there would be.
_DISPLAY = {"xvfb", "xauth"}
# What all systems have, and what packages of displays would have brought.
_BESIDE = ("base-files", "dash", "x11-xkb-utils", "xkb-data")
# Of a tree's root, what its programs are made of.
_SYSTEM = ("bin", "etc", "lib", "lib64", "sbin", "usr")


def built_xpra() -> Path:
    """The package of Debian 13's server, as templates have it: built by whoever needs it first."""
    return xpra_package(TemplateRecipe("trixie"), CACHE)


def run_there(version: str, folder: Path) -> list[str]:
    """The words before those that run a program where the server *version* is; it sees *folder* and the displays.

    None are needed where this machine is such a place itself.
    """
    tree = _tree(version)
    if not tree:
        return []
    words = ["bwrap", "--unshare-pid", "--die-with-parent", "--proc", "/proc", "--dev", "/dev"]
    for name in _SYSTEM:
        entry = tree / name
        words += ["--symlink", str(entry.readlink())] if entry.is_symlink() else ["--ro-bind", str(entry)]
        words.append(f"/{name}")
    return [*words, "--bind", "/tmp", "/tmp", "--bind", str(folder), str(folder), "--chdir", str(folder)]


@functools.cache
def _tree(version: str) -> Path | None:
    if version == "3.1" and shutil.which("xpra"):
        return None
    recipe = TemplateRecipe(SUITES[version])
    built = built_xpra() if recipe.source_build else None
    wanted = set(recipe.source_build.libraries) - _DISPLAY if recipe.source_build else _BOOKWORM_SERVER
    packages = ",".join(sorted({*wanted, *_BESIDE}))
    made_of = hashlib.sha256(f"{packages} {built}".encode() + Path(__file__).read_bytes()).hexdigest()[:12]
    tree = CACHE / f"xpra-{version}-{made_of}"
    with first_builds(tree.name):
        if not tree.exists():
            _make(tree, recipe.suite, packages, built)
    return tree


def _make(tree: Path, suite: str, packages: str, built: Path | None) -> None:
    fresh = tree.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    mode = "root" if os.geteuid() == 0 else "chrootless"
    words = ["mmdebstrap", "--quiet", f"--mode={mode}", "--variant=extract", f"--include={packages}"]
    _run(*words, '--aptopt=APT::Install-Recommends "false"', suite, fresh)
    if built:
        _run("dpkg-deb", "--extract", built, fresh)
    fresh.rename(tree)


def _run(*words: object) -> None:
    done = subprocess.run([*map(str, words)], stderr=subprocess.PIPE, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
