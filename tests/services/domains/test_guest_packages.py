"""Packages that windows need, in templates from before: the real script, on stand-ins for Debian's tools."""

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from qubes_manager.core.domain import GUI_FEATURE, Domain, DomainConfig, DomainKey
from qubes_manager.core.errors import GuestError
from qubes_manager.core.source_build import XPRA_FOR_TRIXIE
from qubes_manager.core.template_recipe import WINDOW_PACKAGES
from qubes_manager.services.domains import guest_packages
from qubes_manager.services.domains.guest_commands import GuestCommands
from qubes_manager.services.domains.guest_packages import GuestPackages
from tests.heard_progress import HeardProgress

# What is installed is a file of that name, with its version in it.
DPKG_QUERY = """#!/bin/sh
for name; do :; done
[ -e "$INSTALLED/$name" ] || { echo "no packages found matching $name" >&2; exit 1; }
case $* in *Status*) printf installed ;; *) cat "$INSTALLED/$name" ;; esac
"""
APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$INSTALLED/../calls"
[ ! -e "$INSTALLED/../offline" ] || { echo "Err: x"; echo "E: Failed to fetch it"; echo "W: some more"; exit 100; }
case $* in *install*) for name; do case $name in -* | install) ;; *) printf 1 >"$INSTALLED/$name" ;; esac; done ;; esac
"""
DPKG = """#!/bin/sh
echo "dpkg $1" >>"$INSTALLED/../calls"
cp "$2" "$INSTALLED/xpra"
"""


class LocalCommands:
    """Runs what is for a guest here, where the stand-ins are found first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.installed = folder / "installed"
        (folder / "bin").mkdir()
        self.installed.mkdir()
        for name, text in (("dpkg-query", DPKG_QUERY), ("apt-get", APT_GET), ("dpkg", DPKG)):
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)

    def install(self, *names: str) -> None:
        for name in names:
            (self.installed / name).write_text("1")

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines() if (self.folder / "calls").exists() else []

    async def run(
        self,
        _key: DomainKey,
        command: str,
        *,
        data: bytes,
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
        **_options: object,
    ) -> int:
        environment = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "INSTALLED": str(self.installed)}
        done = await asyncio.to_thread(
            subprocess.run, ["sh", "-c", command], input=data, capture_output=True, env=environment, check=False
        )
        out(done.stdout)
        err(done.stderr)
        return int(done.returncode)


@pytest.fixture
def guest(tmp_path: Path) -> LocalCommands:
    return LocalCommands(tmp_path)


def template(suite: str, *, gui: bool = True, feature: str = "") -> Domain:
    features = (("os-distribution", "debian"), ("suite", suite), (GUI_FEATURE, feature))
    config = DomainConfig(gui_port=gui, features=features)
    return cast(Domain, SimpleNamespace(name="debian", key=DomainKey("test:///", "x"), config=config))


def complete(guest: LocalCommands, domain: Domain) -> list[str]:
    progress = HeardProgress()
    packages = GuestPackages(cast(GuestCommands, guest), guest.folder / "kept")
    asyncio.run(packages.complete(domain, progress))
    return progress.steps


def test_what_is_missing_is_installed_and_nothing_is_asked_where_all_is_there(guest: LocalCommands) -> None:
    needed = WINDOW_PACKAGES["bookworm"]
    guest.install(*needed[:-2])
    assert complete(guest, template("bookworm")) == ["Looking for packages that are missing"]
    assert guest.calls == [
        "apt-get --quiet update",
        f"apt-get --quiet --yes --no-install-recommends install {' '.join(needed[-2:])}",
    ]
    complete(guest, template("bookworm"))
    assert len(guest.calls) == 2


def test_a_release_without_xpra_gets_the_one_that_is_built_unless_it_has_it(
    guest: LocalCommands, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = guest.folder / "xpra.deb"
    package.write_text("6.5.5")
    monkeypatch.setattr(guest_packages, "xpra_package", lambda *_words, **_options: package)
    guest.install(*WINDOW_PACKAGES["trixie"])
    assert complete(guest, template("trixie"))[1:] == ["Installing xpra 6.5.5"]
    assert guest.calls == ["dpkg --install"]
    complete(guest, template("trixie"))
    assert guest.calls == ["dpkg --install"]
    # An older one is replaced.
    (guest.installed / "xpra").write_text("6.5.4")
    complete(guest, template("trixie"))
    assert guest.calls == ["dpkg --install"] * 2


def test_a_guest_that_reaches_no_mirror_says_so_in_one_line(guest: LocalCommands) -> None:
    (guest.folder / "offline").touch()
    with pytest.raises(GuestError) as caught:
        complete(guest, template("bookworm"))
    assert str(caught.value) == ("packages that windows need were not installed in “debian”: E: Failed to fetch it")


def test_a_template_whose_domains_are_to_show_windows_gets_them_without_a_port_of_its_own(guest: LocalCommands) -> None:
    complete(guest, template("bookworm", gui=False, feature="1"))
    assert set(WINDOW_PACKAGES["bookworm"]) == {file.name for file in guest.installed.iterdir()}


def test_a_build_is_told_beforehand_once_for_all_that_may_need_it(guest: LocalCommands) -> None:
    packages = GuestPackages(cast(GuestCommands, guest), guest.folder)
    told = packages.notice([template("trixie"), template("bookworm"), template("trixie")])
    assert told == f"{XPRA_FOR_TRIXIE.describe('trixie')} Where that version is there already nothing is built."
    assert packages.notice([template("bookworm"), template("trixie", gui=False), template("sid")]) == ""


@pytest.mark.parametrize(
    "domain", [template("bookworm", gui=False), template("sid"), template("")], ids=["plain", "other", "foreign"]
)
def test_templates_of_others_and_those_without_windows_keep_to_what_they_have(
    guest: LocalCommands, domain: Any
) -> None:
    assert complete(guest, domain) == []
    assert guest.calls == []
