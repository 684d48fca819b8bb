"""Marks of creations that are going on."""

import uuid

from qubes_manager.backend.user.creation_mark import is_begun, mark_begun, mark_ended


def test_a_creation_is_known_from_its_beginning_to_its_end() -> None:
    own, other = str(uuid.uuid4()), str(uuid.uuid4())
    assert not is_begun(own)
    mark_begun(own)
    mark_begun(own)
    assert is_begun(own)
    assert not is_begun(other)
    mark_ended(own)
    mark_ended(own)
    assert not is_begun(own)
