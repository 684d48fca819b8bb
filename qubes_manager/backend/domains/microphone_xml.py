"""A domain's way to hear, in its XML: beside what our sound device plays (sound_xml.py), and only for a start.

QEMU takes audio inputs at its start alone: libvirt attaches no sound device to a running domain, and QEMU adds none of
its audio backends. A codec that can record opens its stream at once, and QEMU (7.2) records from its start to its end,
before its guest runs. So only a domain that the microphone is assigned to gets it, and the sound server mutes the
stream before there is one (backend/host/microphone_streams.py).
"""

import libvirt
from lxml import etree
from lxml.builder import E

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.libvirt_errors import is_unsupported
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.domains.sound_xml import SOUND_ALIAS
from qubes_manager.backend.xml import parse
from qubes_manager.core.sound import PLAYING, stream_name

# libvirt's names of codecs: loudspeaker alone, and with a microphone (formatdomain, “Sound devices”).
_DEAF, _HEARING = "output", "micro"
# Without a codec libvirt makes one that has a line in.
_RECORDING = (_HEARING, "duplex", None)


def put_microphone(root: etree._Element) -> bool:
    """Let our sound device hear what the server that plays it records; returns whether it does.

    It is not where the domain has no such device, or nobody plays it.
    """
    device, backend = _ours(root)
    if device is None or backend is None or backend.get("type") != PLAYING:
        return False
    name = stream_name((root.findtext("name") or "").strip())
    _set_codec(device, _HEARING)
    stream = backend.find("input")
    if stream is None:
        # The schema has it in any order; libvirt writes it first.
        stream = E.input()
        backend.insert(0, stream)
    if dict(stream.items()) != {"streamName": name}:
        stream.attrib.clear()
        stream.set("streamName", name)
    return True


def take_microphone(root: etree._Element) -> None:
    """Let our sound device hear nothing; others' stay as they are."""
    device, backend = _ours(root)
    if device is not None:
        _set_codec(device, _DEAF)
    if backend is not None:
        for stream in backend.findall("input"):
            backend.remove(stream)


def can_hear(root: etree._Element) -> bool:
    """Whether any sound device of a domain has a way to record, ours or others'."""
    backends = {element.get("id"): element for element in root.iterfind("devices/audio")}
    for device in root.iterfind("devices/sound"):
        named = device.find("audio")
        backend = backends.get(named.get("id")) if named is not None else next(iter(backends.values()), None)
        if backend is None or backend.get("type") == "none":
            continue
        codecs = {codec.get("type") for codec in device.iterfind("codec")} or {None}
        if codecs & {*_RECORDING}:
            return True
    return False


def has_microphone(root: etree._Element) -> bool:
    """Whether our sound device has a way to record."""
    device, backend = _ours(root)
    is_played = backend is not None and backend.get("type") == PLAYING
    return is_played and device is not None and any(c.get("type") == _HEARING for c in device.iterfind("codec"))


async def goes_on_hearing(connection: LibvirtConnection, uuid: str, name: str) -> bool:
    """Whether a saved domain has the microphone's way in as it goes on, whatever is assigned to it by now.

    Raises HostCallFailed.
    """

    def look(domain: Handle) -> bool:
        try:
            return has_microphone(parse(domain.managedSaveGetXMLDesc()))
        except libvirt.libvirtError as error:
            # It may have been started or discarded just now, and not all drivers keep what they saved.
            if is_unsupported(error) or not domain.hasManagedSaveImage():
                return False
            raise

    return await connection.on_domain(uuid, f"read the saved state of “{name}”", look)


def _ours(root: etree._Element) -> tuple[etree._Element | None, etree._Element | None]:
    for device in root.iterfind("devices/sound"):
        alias, named = device.find("alias"), device.find("audio")
        if alias is None or alias.get("name") != SOUND_ALIAS:
            continue
        number = named.get("id") if named is not None else None
        backends = root.iterfind("devices/audio")
        return device, next((one for one in backends if number and one.get("id") == number), None)
    return None, None


def _set_codec(device: etree._Element, kind: str) -> None:
    for codec in device.iterfind("codec"):
        if codec.get("type") != kind:
            codec.set("type", kind)
