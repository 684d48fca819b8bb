"""What may be asked for, and what the answer to bad input is."""

from pathlib import Path

import pytest

from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainClass
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
def test_a_recipe_that_cannot_be_built_names_its_field(changes: dict[str, object], field: str) -> None:
    TemplateRecipe().check()
    with pytest.raises(BadInput) as caught:
        TemplateRecipe(**changes).check()
    assert caught.value.field == field


def test_only_bookworm_has_application_windows() -> None:
    assert TemplateRecipe("bookworm").has_gui
    assert not TemplateRecipe("trixie").has_gui


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"label": "pink"}, "label"),
        ({"template": ""}, "template"),
        ({"image": Path("x.img")}, "image"),
        ({"memory": 1}, "memory"),
        ({"max_memory": 128}, "maxmem"),
        ({"vcpus": 0}, "vcpus"),
        ({"private_size": 1}, "private size"),
        ({"passphrase": "short"}, "passphrase"),
        ({"virt_mode": "xen"}, "virt_mode"),
        ({"klass": DomainClass.DISPOSABLE}, "class"),
        ({"klass": DomainClass.STANDALONE, "passphrase": "long enough"}, "passphrase"),
        ({"klass": DomainClass.STANDALONE, "image": Path("x.img")}, "template"),
        ({"klass": DomainClass.STANDALONE, "template_for_dispvms": True}, "template_for_dispvms"),
        ({"klass": DomainClass.TEMPLATE}, "image"),
    ],
)
def test_a_domain_that_cannot_be_made_names_its_field(changes: dict[str, object], field: str) -> None:
    fields = {"klass": DomainClass.APP, "template": "debian-12"}
    CreationRequest("work", "blue", **fields).check()  # type: ignore[arg-type]
    with pytest.raises(BadInput) as caught:
        CreationRequest(**{"name": "work", "label": "blue", **fields, **changes}).check()
    assert caught.value.field == field
