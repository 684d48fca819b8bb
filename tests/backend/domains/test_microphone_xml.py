"""A domain's way to hear: there for a start, and gone again."""

import pytest

from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.domains.microphone_xml import can_hear, has_microphone, put_microphone, take_microphone
from qubes_manager.backend.domains.sound_xml import put_sound
from qubes_manager.backend.xml import canonical, parse

SERVER = "unix:/run/user/1000/pulse/native"
FOREIGN = "<domain><name>x</name><devices><sound model='ich6'>{}</sound><audio id='1' type='{}'/></devices></domain>"


def test_it_is_put_beside_what_is_played_and_taken_without_a_trace() -> None:
    root = parse("<domain><name>my work</name><devices/></domain>")
    put_sound(root, SERVER)
    before = canonical(root)
    assert not can_hear(root)
    for _ in range(2):
        assert put_microphone(root) and can_hear(root)
    [backend] = root.iterfind("devices/audio")
    assert [(part.tag, dict(part.items())) for part in backend] == [
        ("input", {"streamName": "[my work]"}),
        ("output", {"streamName": "[my work]"}),
    ]
    assert [codec.get("type") for codec in root.iterfind("devices/sound/codec")] == ["micro"]
    # What lets it be heard leaves it.
    put_sound(root, SERVER)
    assert can_hear(root)
    for _ in range(2):
        take_microphone(root)
        assert canonical(root) == before


def test_at_rest_it_hears_nothing() -> None:
    root = parse("<domain><name>work</name><devices/></domain>")
    put_sound(root, SERVER)
    assert not has_microphone(root)
    put_microphone(root)
    assert has_microphone(root)
    put_sound(root, "")
    assert not can_hear(root) and not has_microphone(root)


def test_a_document_is_edited_by_it() -> None:
    edit = DomainEdit("<domain><name>work</name><devices/></domain>")
    assert not edit.put_microphone()
    edit.put_sound(SERVER)
    silent = edit.xml()
    assert edit.put_microphone() and can_hear(parse(edit.xml()))
    edit.take_microphone()
    assert canonical(parse(edit.xml())) == canonical(parse(silent))


@pytest.mark.parametrize("server", ["", None], ids=["played by nobody", "without sound"])
def test_one_that_is_not_heard_does_not_hear(server: str | None) -> None:
    root = parse("<domain><name>work</name><devices/></domain>")
    if server is not None:
        put_sound(root, server)
    before = canonical(root)
    assert not put_microphone(root) and canonical(root) == before


@pytest.mark.parametrize(
    ("codec", "backend", "hears"),
    [
        ("", "pulseaudio", True),
        ("<codec type='duplex'/>", "pulseaudio", True),
        ("<codec type='output'/>", "pulseaudio", False),
        ("<codec type='output'/><codec type='micro'/>", "pulseaudio", True),
        ("", "none", False),
    ],
)
def test_devices_of_others_stay_and_may_hear(codec: str, backend: str, hears: bool) -> None:
    root = parse(FOREIGN.format(codec, backend))
    before = canonical(root)
    assert can_hear(root) is hears and not has_microphone(root)
    assert not put_microphone(root)
    take_microphone(root)
    assert canonical(root) == before
