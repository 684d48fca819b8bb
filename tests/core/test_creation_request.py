"""What may be asked for when a domain is made."""

from pathlib import Path
from typing import Any

import pytest

from qubes_manager.core.creation_request import CreationRequest, parse_checksum
from qubes_manager.core.domain import DomainClass
from qubes_manager.core.errors import BadInput


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
def test_a_domain_that_cannot_be_made_names_its_field(changes: dict[str, Any], field: str) -> None:
    fields: dict[str, Any] = {"klass": DomainClass.APP, "template": "debian-12"}
    CreationRequest("work", "blue", **fields).check()
    with pytest.raises(BadInput) as caught:
        CreationRequest(**{"name": "work", "label": "blue", **fields, **changes}).check()
    assert caught.value.field == field


def test_checksums_are_told_by_their_length() -> None:
    assert parse_checksum("A" * 64 + "  image.iso\n") == ("sha256", "a" * 64)
    assert parse_checksum("sha512:" + "0" * 128) == ("sha512", "0" * 128)
    with pytest.raises(Exception, match="SHA-256 or SHA-512"):
        parse_checksum("abc")
