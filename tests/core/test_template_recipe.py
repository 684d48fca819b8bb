"""What a template may be made of."""

from typing import Any

import pytest

from qubes_manager.core.errors import BadInput
from qubes_manager.core.template_recipe import TemplateRecipe


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


def test_only_bookworm_has_application_windows() -> None:
    assert TemplateRecipe("bookworm").has_gui
    assert not TemplateRecipe("trixie").has_gui
