"""What a template may be made of."""

from typing import Any

import pytest

from qubes_manager.core.errors import BadInput
from qubes_manager.core.sizes import format_size
from qubes_manager.core.source_build import XPRA_FOR_TRIXIE
from qubes_manager.core.template_recipe import SUITES, TemplateRecipe


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"suite": "warty"}, "suite"),
        ({"mirror": "ftp://x/debian"}, "mirror"),
        ({"mirror": "http://x/debian; rm -rf /"}, "mirror"),
        ({"packages": ("firefox-esr", "--option")}, "packages"),
        ({"packages": ("a b",)}, "packages"),
        ({"packages": ("$(id)",)}, "packages"),
        ({"size": 1 << 20}, "size"),
    ],
)
def test_a_recipe_that_cannot_be_built_names_its_field(changes: dict[str, Any], field: str) -> None:
    TemplateRecipe().check()
    with pytest.raises(BadInput) as caught:
        TemplateRecipe(**changes).check()
    assert caught.value.field == field


def test_windows_come_from_each_release_unless_they_are_left_out() -> None:
    assert TemplateRecipe("bookworm").source_build is None
    assert "xpra" in TemplateRecipe("bookworm").all_packages
    built = TemplateRecipe("trixie").source_build
    assert built
    assert built.title == "xpra 6.5.5"
    assert set(built.libraries) <= set(TemplateRecipe("trixie").all_packages)
    for suite in SUITES:
        assert "xvfb" in TemplateRecipe(suite).all_packages
        plain = TemplateRecipe(suite, windows=False)
        assert plain.source_build is None
        assert "xvfb" not in plain.all_packages


def test_what_is_built_from_source_says_beforehand_what_it_takes() -> None:
    said = XPRA_FOR_TRIXIE.describe("trixie")
    assert "xpra 6.5.5 is built from its source" in said
    assert f"about {XPRA_FOR_TRIXIE.minutes} minutes and {format_size(XPRA_FOR_TRIXIE.download)} more" in said
    assert XPRA_FOR_TRIXIE.depends.startswith("python3 (>= 3.13), python3 (<< 3.14), ")
