"""From the options of “qubes-manager setup” to what is set up."""

from pathlib import Path
from typing import Any

import pytest

from qubes_manager.cli import setup
from qubes_manager.core.source_build import XPRA_FOR_TRIXIE
from qubes_manager.core.template_recipe import SUGGESTED_PACKAGES, SUITES, TemplateRecipe
from qubes_manager.services.setup.first_setup import FirstSetup, SetupPlan, SetupResult


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[SetupPlan]:
    """The plans that were to be carried out; all that they are to make is there already."""
    found: list[SetupPlan] = []

    async def run(_self: FirstSetup, _uri: str, plan: SetupPlan, **_options: Any) -> SetupResult:
        found.append(plan)
        return SetupResult(plan.template, ())

    monkeypatch.setattr(FirstSetup, "run", run)
    return found


def test_a_template_is_built_unless_one_is_named(
    host: str, plans: list[SetupPlan], capsys: pytest.CaptureFixture[str]
) -> None:
    assert setup.main(["-c", host, "--yes"]) == 0
    assert setup.main(["-c", host, "--yes", "--suite", "trixie", "--packages", "vim,,", "--memory", "512"]) == 0
    assert setup.main(["-c", host, "--yes", "--template", "debian", "--start"]) == 0
    assert plans == [
        SetupPlan(TemplateRecipe(SUITES[0], packages=SUGGESTED_PACKAGES)),
        SetupPlan(TemplateRecipe("trixie", packages=("vim",)), memory=512),
        SetupPlan(None, "debian"),
    ]
    assert capsys.readouterr().out == "all domains are there already\n" * 3


def test_what_takes_long_is_said_beforehand(
    host: str,
    plans: list[SetupPlan],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert setup.main(["-c", host, "--yes", "--suite", "trixie"]) == 0
    assert capsys.readouterr().err == f"{XPRA_FOR_TRIXIE.describe('trixie')}\n"
    # Nothing of that kind is done then.
    assert setup.main(["-c", host, "--yes", "--suite", "bookworm"]) == 0
    assert setup.main(["-c", host, "--yes", "--suite", "trixie", "--template", "debian"]) == 0
    assert capsys.readouterr().err == ""


def test_without_demo_domains_there_is_nothing_to_remove(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert setup.main(["-c", host, "--remove-demo"]) == 0
    assert capsys.readouterr().out == "there are no demo domains\n"


@pytest.mark.parametrize("words", [[], ["--yes", "--demo"], ["--demo", "--remove-demo"], ["--yes", "--suite", "x"]])
def test_what_is_wanted_must_be_clear(host: str, words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        setup.main(["-c", host, *words])
    assert caught.value.code == 2
