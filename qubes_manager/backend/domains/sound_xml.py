"""A domain's sound device in its XML: one that plays, and has no say in the user's mixer.

It has no way to record, but what microphone_xml.py gives it.
"""

import re
from collections.abc import Iterable

from lxml import etree
from lxml.builder import E

from qubes_manager.backend.domains.qemu_xml import drop, part, set_variable, variable
from qubes_manager.core.hardware import SoundDevice
from qubes_manager.core.sound import PLAYING, SILENT, is_stream_name, stream_name

# Our device. Of libvirt's aliases only those that begin so are the user's own.
SOUND_ALIAS = "ua-qubes-manager-sound"
# What the sound server knows QEMU by, which would be the domain’s name: mute and volume of a domain “Firefox” would be
# Firefox’ own, for good. libpulse takes it from the environment (PULSE_PROP_OVERRIDE in its proplist-util.c).
# The user may give it others; of two of a name it takes the last.
_PROPERTIES = "PULSE_PROP_OVERRIDE"
_OUR_PROPERTY = re.compile(r'(^|\s)application\.name="\[([^"\\]|\\.)*\]"', re.DOTALL)
# With a mixer of its own a guest sets volume and mute of its stream in the user's sound server: it could undo a mute.
# libvirt has no word for that property of QEMU's codec.
_WITHOUT_MIXER = ("mixer", "bool", "false")


def put_sound(root: etree._Element, server: str) -> None:
    """Let a domain have our sound device, played by the sound server at *server*; an empty one is nobody.

    A sound device that others gave it stays as it is, and the only one.
    """
    devices = root.find("devices")
    if devices is None:
        return
    if (device := _ours(devices, make=True)) is None:
        take_sound(root)
        return
    _take_strays(devices)
    name = stream_name((root.findtext("name") or "").strip())
    # The desktop's own mixer shows it; the guest has no say in it.
    attributes = {"type": PLAYING, "serverName": server} if server else {"type": SILENT}
    stream = {"streamName": name} if server else {}
    backend = _backend(devices, device)
    attributes["id"] = backend.get("id", "")
    output = backend.find("output")
    if dict(backend.items()) != attributes or dict(output.items() if output is not None else ()) != stream:
        backend.attrib.clear()
        for key, value in attributes.items():
            backend.set(key, value)
        for part in list(backend):
            backend.remove(part)
        if stream:
            backend.append(E.output(stream))
    _put_program_name(root, name if server else "")
    _take_mixer(root)


def take_sound(root: etree._Element) -> None:
    """Take our sound device away, with all that belongs to it."""
    devices = root.find("devices")
    if devices is None:
        return
    if (device := _ours(devices)) is not None:
        devices.remove(_backend(devices, device))
        devices.remove(device)
    _take_strays(devices)
    _put_program_name(root, "")
    override = part(root, "override")
    drop(root, override, part(override, "device", alias=_codec()))


def read_sound(devices: Iterable[tuple[str, etree._Element]]) -> SoundDevice | None:
    """What the first sound device among *devices* (tag and element) plays to; None without one."""
    parts = [(tag, child) for tag, child in devices if tag in ("sound", "audio")]
    device = next((child for tag, child in parts if tag == "sound"), None)
    if device is None:
        return None
    number = next((child.get("id") for child in device if child.tag == "audio"), None)
    backends = [child for tag, child in parts if tag == "audio"]
    backend = next((child for child in backends if number in (None, child.get("id"))), None)
    if backend is None:
        return SoundDevice(SILENT)
    return SoundDevice(backend.get("type", SILENT), backend.get("serverName", ""))


def _ours(devices: etree._Element, *, make: bool = False) -> etree._Element | None:
    """Our device; None where there is none, or another one."""
    for device in devices.findall("sound"):
        alias = device.find("alias")
        if alias is not None and alias.get("name") == SOUND_ALIAS:
            return device
    if not make or devices.find("sound") is not None:
        return None
    device = E.sound(E.codec(type="output"), E.alias(name=SOUND_ALIAS), model="ich9")
    devices.append(device)
    return device


def _backend(devices: etree._Element, device: etree._Element) -> etree._Element:
    """What our device plays to; no other device does."""
    backends = {element.get("id"): element for element in devices.findall("audio")}
    named = device.find("audio")
    if named is not None and (found := backends.get(named.get("id"))) is not None:
        return found
    number = next(str(n) for n in range(1, len(backends) + 2) if str(n) not in backends)
    if named is None:
        device.insert(1, E.audio(id=number))
    else:
        named.set("id", number)
    backend = E.audio(id=number, type=SILENT)
    devices.append(backend)
    return backend


def _take_strays(devices: etree._Element) -> None:
    """Take away what our device played to, where another program has taken out the device alone."""
    named = {part.get("id") for part in devices.iterfind("*/audio")}
    for backend in devices.findall("audio"):
        output = backend.find("output")
        is_ours = output is not None and is_stream_name(output.get("streamName", ""))
        if is_ours and backend.get("id") not in named:
            devices.remove(backend)


def _codec() -> str:
    return f"{SOUND_ALIAS}-codec0"


def _put_program_name(root: etree._Element, name: str) -> None:
    """Say what the sound server knows QEMU by; empty is as it is called by itself."""
    properties = _OUR_PROPERTY.sub("", variable(root, _PROPERTIES))
    if name:
        quoted = name.replace("\\", r"\\").replace('"', r"\"")
        properties = f'{properties} application.name="{quoted}"'.lstrip()
    set_variable(root, _PROPERTIES, properties)


def _take_mixer(root: etree._Element) -> None:
    frontend = part(part(part(root, "override"), "device", alias=_codec()), "frontend")
    name, kind, value = _WITHOUT_MIXER
    mixer = part(frontend, "property", name=name)
    mixer.set("type", kind)
    mixer.set("value", value)
