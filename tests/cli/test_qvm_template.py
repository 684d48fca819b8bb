"""From what is typed to what is built, imported or kept."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from qubes_manager.cli import qvm_template
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainClass
from qubes_manager.core.template_recipe import SUGGESTED_PACKAGES, TemplateRecipe
from qubes_manager.services.making.creation import Creation
from qubes_manager.services.making.template_build import TemplateBuild


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
    assert line.split() == ["debian", "2", "Halted", "1.0", "MiB", "work"]


def test_a_recipe_is_made_of_the_options(host: str, asked: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    assert qvm_template.main(["-c", host, "build", "plain"]) == 0
    assert "windows will not come" not in capsys.readouterr().err
    words = ["--suite", "trixie", "--mirror", "http://m/", "--packages", "vim,,emacs", "--size", "5G", "own"]
    assert qvm_template.main(["-c", host, "build", *words]) == 0
    assert "Debian trixie has no xpra: application windows will not come from it" in capsys.readouterr().err
    assert qvm_template.main(["-c", host, "build", "--packages", "", "bare"]) == 0
    assert asked == [
        *("plain", TemplateRecipe("bookworm", packages=SUGGESTED_PACKAGES)),
        *("own", TemplateRecipe("trixie", "http://m/", ("vim", "emacs"), 5 << 30)),
        *("bare", TemplateRecipe("bookworm")),
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


@pytest.mark.parametrize("answer", ["", "n\n", "yesterday\n"])
def test_nothing_is_removed_without_a_yes(
    host: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert qvm_template.main(["-c", host, "remove", "debian"]) == 1
    assert capsys.readouterr().err.endswith("are lost. [y/N] nothing was removed\n")


def test_only_a_template_that_nobody_needs_is_removed(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert qvm_template.main(["-c", host, "remove", "-f", "debian"]) == 1
    assert "“debian” is the template of work" in capsys.readouterr().err
    assert qvm_template.main(["-c", host, "remove", "-f", "work"]) == 1
    assert "“work” is no TemplateVM" in capsys.readouterr().err
    assert qvm_template.main(["-c", host, "from-standalone", "work"]) == 1
    assert "“work” is no StandaloneVM" in capsys.readouterr().err
