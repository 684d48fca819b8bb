"""From what is typed to what is built, imported or kept."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.cli import qvm_template
from qubes_manager.cli.options import INTERRUPTED
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import GUI_FEATURE, DomainClass, DomainConfig, DomainKey
from qubes_manager.core.progress import Progress
from qubes_manager.core.source_build import XPRA_FOR_TRIXIE
from qubes_manager.core.template_recipe import SUGGESTED_PACKAGES, SUITES, TemplateRecipe
from qubes_manager.services.domains.guest_tools import GuestTools
from qubes_manager.services.making.creation import Creation
from qubes_manager.services.making.template_build import TemplateBuild
from tests.cli.conftest import COMMANDS
from tests.driver import write_host


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The names, recipes and requests that were asked for; nothing is made."""
    found: list[object] = []

    async def build(_self: TemplateBuild, _uri: str, name: str, recipe: TemplateRecipe, **_options: Any) -> None:
        found.extend((name, recipe))

    async def create(_self: Creation, _uri: str, request: CreationRequest, **_options: Any) -> None:
        found.append(request)

    monkeypatch.setattr(TemplateBuild, "build", build)
    monkeypatch.setattr(Creation, "create", create)
    return found


def test_templates_are_listed_with_who_uses_them(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert qvm_template.main(["-c", host, "list"]) == 0
    _heads, line = capsys.readouterr().out.splitlines()
    assert line.split() == ["debian", "2", "Halted", "1.0", "MiB", "none", "work"]


def test_a_recipe_is_made_of_the_options(
    host: str, asked: list[object], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What was built before is not built again, and nothing is said of it.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert qvm_template.main(["-c", host, "build", "plain"]) == 0
    words = ["--suite", "trixie", "--mirror", "http://m/", "--packages", "vim,,emacs", "--size", "5G", "own"]
    assert qvm_template.main(["-c", host, "build", *words]) == 0
    assert XPRA_FOR_TRIXIE.describe("trixie") in capsys.readouterr().err
    assert qvm_template.main(["-c", host, "build", "--packages", "", "bare"]) == 0
    assert asked == [
        *("plain", TemplateRecipe(SUITES[0], packages=SUGGESTED_PACKAGES)),
        *("own", TemplateRecipe("trixie", "http://m/", ("vim", "emacs"), 5 << 30)),
        *("bare", TemplateRecipe()),
    ]


def test_an_image_is_imported_with_the_checksum_of_its_list(host: str, asked: list[object], tmp_path: Path) -> None:
    (tmp_path / "SUMS").write_text(f"{'a' * 64}  cloud.img\n")
    sums, image = str(tmp_path / "SUMS"), str(tmp_path / "cloud.img")
    words = ["import", "--checksum-file", sums, "--cloud-init", "--uefi", "cloud", image]
    assert qvm_template.main(["-c", host, *words]) == 0
    assert asked == [
        CreationRequest(
            "cloud",
            "black",
            DomainClass.TEMPLATE,
            image=Path(image),
            checksum="a" * 64,
            seed=True,
            uefi=True,
        )
    ]


def test_an_update_of_guest_tools_says_beforehand_what_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def update(_self: GuestTools, key: DomainKey, _progress: Progress) -> None:
        updated.append(key.uuid)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(GuestTools, "update", update)
    updated: list[str] = []
    built = {"os-distribution": "debian", GUI_FEATURE: "1"}
    host = write_host(
        tmp_path,
        [
            NewDomain(name, DomainConfig(klass=DomainClass.TEMPLATE, features=(*built.items(), ("suite", suite))), uuid)
            for name, suite, uuid in (("old", "bookworm", "1" * 32), ("new", "trixie", "2" * 32))
        ],
    )
    assert qvm_template.main(["-c", host, "update-tools", "old"]) == 0
    assert capsys.readouterr().err == ""
    assert qvm_template.main(["-c", host, "update-tools", "new", "old"]) == 0
    assert capsys.readouterr().err.startswith(XPRA_FOR_TRIXIE.describe("trixie"))
    assert [uuid[0] for uuid in updated] == ["1", "2", "1"]


def test_an_interrupt_ends_the_build_and_all_that_it_started(host: str, tmp_path: Path) -> None:
    tool = tmp_path / "mmdebstrap"
    tool.write_text("#!/bin/sh\necho $$ >$0.pid\necho 'I: running apt-get update...'\nexec sleep 600\n")
    tool.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "XDG_STATE_HOME": str(tmp_path)}
    words = [str(COMMANDS / "qvm-template"), "-c", host, "build", "--no-windows", "plain"]
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as command:
        assert command.stderr
        assert "Reading the lists of packages\n" in iter(command.stderr.readline, "")
        command.send_signal(signal.SIGINT)
        assert command.wait(120) == INTERRUPTED
    assert not Path("/proc", Path(f"{tool}.pid").read_text().strip()).exists()


@pytest.mark.parametrize("answer", ["", "n\n", "yesterday\n"])
def test_nothing_is_removed_without_a_yes(
    host: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    # There is no question where there is only one answer.
    assert qvm_template.main(["-c", host, "remove", "debian"]) == 1
    assert "“debian” is the template of work: give them another one first" in capsys.readouterr().err
    path = Path(host.removeprefix("test://"))
    node = etree.fromstring(path.read_bytes())
    for domain in node.findall("domain[name='work']"):
        node.remove(domain)
    path.write_bytes(etree.tostring(node))
    assert qvm_template.main(["-c", host, "remove", "debian"]) == 1
    assert capsys.readouterr().err.endswith("are lost. [y/N] nothing was removed\n")


def test_only_a_template_that_nobody_needs_is_removed(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert qvm_template.main(["-c", host, "remove", "-f", "debian"]) == 1
    assert "“debian” is the template of work" in capsys.readouterr().err
    assert qvm_template.main(["-c", host, "remove", "-f", "work"]) == 1
    assert "“work” is no TemplateVM" in capsys.readouterr().err
    assert qvm_template.main(["-c", host, "from-standalone", "work"]) == 1
    assert "“work” is no StandaloneVM" in capsys.readouterr().err
