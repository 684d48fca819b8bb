"""xpra built from its source: a stand-in for mmdebstrap runs the hooks that bring files out; the real build is made
where tests have a template of Debian 13."""

import asyncio
import base64
import hashlib
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from qubes_manager.backend.guests.xpra_package import build_notice, kept_package, xpra_package
from qubes_manager.core import template_recipe
from qubes_manager.core.errors import BadInput, Cancelled, NotFound, QubesManagerError
from qubes_manager.core.source_build import XPRA_FOR_TRIXIE
from qubes_manager.core.template_recipe import TemplateRecipe
from tests.heard_progress import HeardProgress
from tests.waiting import soon, until

RECIPE = TemplateRecipe("trixie", "https://mirror.example/debian")
MMDEBSTRAP = """#!/bin/sh
printf '%s\\n' "$@" >"$STAND_IN/argv"
for word; do case $word in *'=upload '*/netrc) from=${word#*upload }; cp "${from% *}" "$STAND_IN/netrc" ;; esac; done
echo 'I: running apt-get update...'
echo 'I: building xpra'
if [ -e "$STAND_IN/fails" ]; then
  cat "$STAND_IN/fails"
  echo 'E: setup failed: E: command failed: chroot'
  echo 'E: mmdebstrap failed to run'
  exit 1
fi
echo x >>"$STAND_IN/builds"
while [ -e "$STAND_IN/takes-long" ]; do sleep 0.05; done
for word; do case $word in *'=download /xpra/xpra.deb '*) wc -l <"$STAND_IN/builds" >"${word##* }" ;; esac; done
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the stand-in, which counts its builds; each package is the number of its own."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "mmdebstrap").write_text(MMDEBSTRAP)
    (folder / "mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN", str(folder))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("QUBES_MANAGER_SCRATCH", str(tmp_path / "scratch"))
    return folder


def build(tmp_path: Path, recipe: TemplateRecipe = RECIPE, progress: HeardProgress | None = None) -> str:
    return xpra_package(recipe, tmp_path / "kept", progress=progress or HeardProgress()).read_text().strip()


def test_it_is_built_once_and_what_was_kept_is_taken_from_then_on(stand_in: Path, tmp_path: Path) -> None:
    progress = HeardProgress()
    assert kept_package(RECIPE, tmp_path / "kept") is None
    assert build_notice(RECIPE, tmp_path / "kept") == XPRA_FOR_TRIXIE.describe("trixie")
    assert build(tmp_path, progress=progress) == "1"
    assert progress.steps == [
        "xpra 6.5.5: reading the lists of packages",
        "xpra 6.5.5: compiling, which takes longest",
    ]
    again = HeardProgress()
    assert build(tmp_path, replace(RECIPE, packages=("vim",)), again) == "1"
    assert again.steps == []
    assert build_notice(RECIPE, tmp_path / "kept") == ""
    package = kept_package(RECIPE, tmp_path / "kept")
    assert package
    assert package.name.startswith("xpra-6.5.5-trixie-")
    assert package.with_suffix(".sha256").read_text() == f"{hashlib.sha256(package.read_bytes()).hexdigest()}\n"


WAITING = "xpra 6.5.5: waiting for another build of it"


async def test_two_who_want_it_at_once_have_it_built_once(stand_in: Path, tmp_path: Path) -> None:
    long = stand_in / "takes-long"
    long.touch()
    first = asyncio.create_task(asyncio.to_thread(build, tmp_path))
    try:
        async with soon():
            await until(lambda: (stand_in / "builds").exists())
            # Who waits may think better of it.
            with pytest.raises(Cancelled):
                await asyncio.to_thread(build, tmp_path, RECIPE, HeardProgress(stop_at=WAITING))
            progress = HeardProgress()
            second = asyncio.create_task(asyncio.to_thread(build, tmp_path, RECIPE, progress))
            await until(lambda: progress.steps)
            assert progress.steps == [WAITING]
    finally:
        long.unlink()
    assert [await first, await second] == ["1", "1"]
    package = kept_package(RECIPE, tmp_path / "kept")
    assert package
    assert {left.suffix for left in package.parent.iterdir()} == {".deb", ".sha256", ".lock"}


def test_a_folder_that_keeps_nothing_is_said_before_anything_is_built(stand_in: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    with pytest.raises(QubesManagerError, match=re.escape(f"xpra 6.5.5: {tmp_path}/kept: File exists")):
        build(tmp_path)
    assert not (stand_in / "builds").exists()


@pytest.mark.parametrize("spoil", ["content", "record", "no record"])
def test_one_that_is_not_as_it_was_built_is_built_again(stand_in: Path, tmp_path: Path, spoil: str) -> None:
    build(tmp_path)
    package = kept_package(RECIPE, tmp_path / "kept")
    assert package
    match spoil:
        case "content":
            package.write_text("2\n")
        case "record":
            package.with_suffix(".sha256").write_bytes(b"\xff")
        case _:
            package.with_suffix(".sha256").unlink()
    assert kept_package(RECIPE, tmp_path / "kept") is None
    assert build(tmp_path) == "2"
    assert build(tmp_path) == "2"


def test_another_version_is_another_package(stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build(tmp_path) == "1"
    for change in ({"version": "6.6"}, {"digest": "0" * 64}, {"tools": ("gcc",)}):
        monkeypatch.setitem(template_recipe.SOURCE_BUILDS, "trixie", replace(XPRA_FOR_TRIXIE, **change))
        assert kept_package(RECIPE, tmp_path / "kept") is None
    assert build(tmp_path) == "2"


def test_the_source_is_asked_for_by_its_digest_where_the_user_has_a_mirror(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    build(tmp_path)
    words = (stand_in / "argv").read_text().splitlines()
    [run] = [word for word in words if word.startswith("--customize-hook=chroot")]
    assert f"6.5.5 {XPRA_FOR_TRIXIE.digest} https://mirror.example/simple certificates" in run
    assert words[-3:] == ["trixie", "-", "https://mirror.example/debian"]
    assert "--format=null" in words


def test_a_password_of_the_mirror_is_told_to_pip_alone(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[tuple[str, str | None]]()

    class Mirror(BaseHTTPRequestHandler):
        def log_message(self, *_words: object) -> None: ...

        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization")))
            self.send_error(404 if asked[-1][1] else 401)

    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as mirror:
        threading.Thread(target=mirror.serve_forever, daemon=True).start()
        place = f"LocalHost:{mirror.server_port}/simple"
        monkeypatch.setenv("PIP_INDEX_URL", f"http://us%40er:p%22ass%5C%0Aword@{place}")
        log = list[str]()
        xpra_package(RECIPE, tmp_path / "kept", log_line=log.append)
        told = (stand_in / "argv").read_text() + "\n".join(log)
        assert not re.search('us(%40|@)er|p(%22|")ass', told)
        assert f" http://{place} " in told
        (tmp_path / "netrc").write_text((stand_in / "netrc").read_text())
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--isolated", "--index-url", f"http://{place}", "xpra"],
            env={"PATH": os.environ["PATH"], "NETRC": str(tmp_path / "netrc")},
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        mirror.shutdown()
    password = base64.b64encode(b'us@er:p"ass\\\nword').decode()
    assert ("/simple/xpra/", f"Basic {password}") in asked


@pytest.mark.parametrize("host", ["[::1]", "exämple.org", ""])
def test_a_password_that_pip_would_not_find_is_not_taken(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"https://user:pass@{host}:8443/simple")
    with pytest.raises(BadInput, match=re.escape(f"PIP_INDEX_URL: '{host}:8443' cannot be used")):
        build(tmp_path)
    assert not (stand_in / "argv").exists()


def test_a_source_that_cannot_be_had_is_said_in_one_line_and_nothing_is_kept(stand_in: Path, tmp_path: Path) -> None:
    said = "xpra 6.5.5 cannot be had from https://pypi.org/simple: is it reached from here?"
    (stand_in / "fails").write_text(f"ERROR: No matching distribution found\nE: {said}\n")
    with pytest.raises(QubesManagerError) as caught:
        build(tmp_path)
    assert str(caught.value) == said
    assert "No matching distribution" in caught.value.details
    assert [left.suffix for left in (tmp_path / "kept").iterdir()] == [".lock"]


def test_any_other_failure_is_mmdebstraps_own_and_cancelling_keeps_nothing(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stand_in / "fails").write_text("")
    with pytest.raises(QubesManagerError, match="mmdebstrap failed"):
        build(tmp_path)
    (stand_in / "fails").write_text("E: xpra 6.5.5 was being built\n")
    progress = HeardProgress(stop_at="xpra 6.5.5: compiling, which takes longest")
    with pytest.raises(Cancelled):
        build(tmp_path, progress=progress)
    assert [left.suffix for left in (tmp_path / "kept").iterdir()] == [".lock"]
    assert list((tmp_path / "scratch").iterdir()) == []
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NotFound, match="mmdebstrap is not installed"):
        build(tmp_path)
