"""The sound device in a domain's XML."""

import ctypes
from html import escape

import pytest
from lxml import etree

from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.xml import canonical, parse
from qubes_manager.core.hardware import SoundDevice
from qubes_manager.core.sound import PLAYING, SILENT

SERVER = "unix:/run/user/1000/pulse/native"
VNC = '<graphics type="vnc"/><audio id="1" type="none"/>'
QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
FOREIGN = '<sound model="ich6"><audio id="1"/></sound><audio id="1" type="spice"/>'


def document(devices: str = "", name: str = "work", properties: str = "") -> str:
    """One to whose QEMU the user says that it has *properties*, if any."""
    variable = f'<q:env name="PULSE_PROP_OVERRIDE" value="{escape(properties)}"/>'
    own = f'<q:commandline xmlns:q="{QEMU}">{variable}</q:commandline>' if properties else ""
    return f'<domain type="kvm"><name>{escape(name)}</name><devices>{devices}</devices>{own}</domain>'


def put(xml: str, server: str) -> str:
    edit = DomainEdit(xml)
    edit.put_sound(server)
    return edit.xml()


def taken(xml: str) -> str:
    edit = DomainEdit(xml)
    edit.take_sound()
    return edit.xml()


def devices_of(xml: str) -> etree._Element:
    devices = parse(xml).find("devices")
    assert devices is not None
    return devices


def test_the_device_only_plays_and_its_stream_is_called_as_the_domain() -> None:
    devices = devices_of(put(document(), SERVER))
    codecs = devices.findall("sound/codec")
    assert [codec.get("type") for codec in codecs] == ["output"], "a codec of another type can record"
    audio = devices.find("audio")
    assert audio is not None and dict(audio.items()) == {"id": "1", "type": PLAYING, "serverName": SERVER}
    assert [(part.tag, dict(part.items())) for part in audio] == [("output", {"streamName": "[work]"})]


def test_the_guest_has_no_say_in_the_users_mixer() -> None:
    xml = put(document(), SERVER)
    override = parse(xml).find("{http://libvirt.org/schemas/domain/qemu/1.0}override")
    assert override is not None
    assert override[0].get("alias") == "ua-qubes-manager-sound-codec0"
    assert dict(override[0][0][0].items()) == {"name": "mixer", "type": "bool", "value": "false"}


def properties(xml: str) -> list[tuple[str | None, str | None]]:
    variables = parse(xml).iterfind("{http://libvirt.org/schemas/domain/qemu/1.0}commandline/*")
    return [(variable.get("name"), variable.get("value")) for variable in variables]


def test_the_sound_server_takes_qemu_for_no_program_that_is_called_as_the_domain() -> None:
    assert properties(put(document(), SERVER)) == [("PULSE_PROP_OVERRIDE", 'application.name="[work]"')]


def taken_by_libpulse(xml: str) -> dict[str, str]:
    """The properties that the sound server gets, by libpulse's own reading."""
    library = ctypes.CDLL("libpulse.so.0")
    library.pa_proplist_from_string.argtypes = [ctypes.c_char_p]
    library.pa_proplist_gets.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.pa_proplist_free.argtypes = [ctypes.c_void_p]
    library.pa_proplist_from_string.restype, library.pa_proplist_gets.restype = ctypes.c_void_p, ctypes.c_char_p
    ((_name, value),) = properties(xml)
    held = library.pa_proplist_from_string((value or "").encode())
    assert held, f"libpulse passes over {value}"
    keys = ("application.name", "media.role")
    found = {key: library.pa_proplist_gets(held, key.encode()) for key in keys}
    library.pa_proplist_free(held)
    return {key: value.decode() for key, value in found.items() if value is not None}


@pytest.mark.parametrize("name", ["work", 'a"b', "a\\b", "a\\", 'x" media.role="phone', "a b é"])
@pytest.mark.parametrize("before", ["", "work"], ids=["named so", "renamed"])
def test_whatever_a_domain_is_called_libpulse_takes_that_name_and_nothing_else(name: str, before: str) -> None:
    xml = document(name=name)
    if before:
        xml = put(document(name=before), SERVER).replace(f"<name>{before}</name>", f"<name>{escape(name)}</name>")
    playing = put(xml, SERVER)
    assert taken_by_libpulse(playing) == {"application.name": f"[{name}]"}
    assert not properties(put(playing, ""))


@pytest.mark.parametrize("own", ["media.role=game", 'application.name="mine"  media.role="game" '])
def test_properties_of_the_users_own_stay(own: str) -> None:
    xml = document(properties=own)
    for playing in (put(xml, SERVER), put(put(xml, SERVER), SERVER)):
        assert taken_by_libpulse(playing) == {"application.name": "[work]", "media.role": "game"}
        for after in (put(playing, ""), taken(playing)):
            assert properties(after) == [("PULSE_PROP_OVERRIDE", own)]


def test_what_others_say_to_qemu_stays() -> None:
    own = '<qemu:commandline xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0"><qemu:env name="A" value="b"/>'
    xml = document().replace("</domain>", f"{own}</qemu:commandline></domain>")
    assert properties(put(xml, SERVER))[0] == ("A", "b")
    assert len(properties(put(xml, SERVER))) == 2
    for after in (put(put(xml, SERVER), ""), taken(put(xml, SERVER))):
        assert properties(after) == [("A", "b")]


@pytest.mark.parametrize("before", ["", VNC], ids=["bare", "with-vnc"])
def test_where_nobody_plays_it_the_device_stays(before: str) -> None:
    xml = put(put(document(before), SERVER), "")
    assert parse_config(xml).sound == SoundDevice(SILENT)
    assert parse_config(put(xml, SERVER)).sound == SoundDevice(PLAYING, SERVER)
    assert len(devices_of(xml).findall("sound")) == 1
    assert [audio.get("type") for audio in devices_of(xml).iterfind("audio")] == [SILENT] * (1 + bool(before))


@pytest.mark.parametrize("server", [SERVER, ""], ids=["heard", "nobody"])
def test_an_edit_made_again_changes_nothing(server: str) -> None:
    once = put(document(VNC), server)
    assert put(once, server) == once


def test_the_backend_of_the_screen_stays_its_own() -> None:
    numbers = [
        (audio.get("id"), audio.get("type")) for audio in devices_of(put(document(VNC), SERVER)).iterfind("audio")
    ]
    assert numbers == [("1", SILENT), ("2", PLAYING)]


def test_a_sound_device_of_another_programs_stays_the_only_one() -> None:
    before = document(FOREIGN)
    for after in (put(before, SERVER), put(before, ""), taken(before)):
        assert canonical(parse(after)) == canonical(parse(before))
    assert parse_config(before).sound == SoundDevice("spice")


@pytest.mark.parametrize("before", ["", VNC], ids=["bare", "with-vnc"])
def test_what_is_taken_away_leaves_nothing(before: str) -> None:
    xml = document(before)
    assert canonical(parse(taken(put(xml, SERVER)))) == canonical(parse(xml))
    assert canonical(parse(taken(xml))) == canonical(parse(xml))


@pytest.mark.parametrize("server", [SERVER, ""], ids=["heard", "nobody"])
@pytest.mark.parametrize("others", ["", '<sound model="ac97"/>'], ids=["taken out", "replaced"])
def test_where_another_program_has_taken_our_device_out_nothing_of_it_plays_on(others: str, server: str) -> None:
    playing = put(document(VNC), SERVER)
    device = playing[playing.index("<sound") : playing.index("</sound>") + len("</sound>")]
    left = playing.replace(device, others)
    assert canonical(parse(taken(left))) == canonical(parse(document(VNC + others)))
    assert canonical(parse(put(left, server))) == canonical(parse(put(document(VNC + others), server)))


def test_what_the_screen_plays_to_stays_whatever_its_stream_is_called() -> None:
    audio = '<audio id="4" type="pulseaudio"><output streamName="[mine]"/></audio>'
    xml = document(f'<graphics type="vnc"><audio id="4"/></graphics>{audio}')
    assert canonical(parse(taken(put(xml, SERVER)))) == canonical(parse(xml))


def test_a_mixer_that_another_program_gave_the_guest_is_taken_again() -> None:
    once = put(document(), SERVER)
    assert put(once.replace('value="false"', 'value="true"'), SERVER) == once
    own = f'<q:property xmlns:q="{QEMU}" name="cad" type="unsigned" value="1"/>'
    assert 'name="cad"' in put(once.replace("</qemu:frontend>", f"{own}</qemu:frontend>"), SERVER)


def test_a_renamed_domains_stream_gets_its_name() -> None:
    renamed = put(document(), SERVER).replace("<name>work</name>", "<name>play</name>")
    output = devices_of(put(renamed, SERVER)).find("audio/output")
    assert output is not None and output.get("streamName") == "[play]"


def test_a_device_that_names_no_backend_plays_to_the_first() -> None:
    assert parse_config(document('<sound model="usb"/><audio id="3" type="oss"/>')).sound == SoundDevice("oss")
    assert parse_config(document('<sound model="usb"/>')).sound == SoundDevice(SILENT)
    assert parse_config(document(VNC)).sound is None
