"""Which domains are heard on this machine.

None hears what is said there, but those that the microphone is assigned to, while it is on for them: it is a device
like any other (core/devices/microphone.py).
"""

from urllib.parse import urlsplit

from qubes_manager.core.domain import Domain, DomainClass, DomainState
from qubes_manager.core.names import HOST_NAME

# What a domain's property “audiovm” may be; empty is as its class has it.
HEARD, SILENT = HOST_NAME, "none"
# libvirt's name for a backend that plays to PulseAudio, or to PipeWire, which answers as PulseAudio does.
PLAYING = "pulseaudio"
_HEARD_BY_DEFAULT = (DomainClass.APP, DomainClass.DISPOSABLE)


def is_heard(domain: Domain) -> bool:
    """Whether the domain is to have sound from its next start on."""
    if chosen := domain.config.audiovm:
        return chosen == HEARD
    return domain.klass in _HEARD_BY_DEFAULT


def can_be_heard(uri: str) -> bool:
    """Whether QEMU runs as the user on this machine, and so reaches the user’s sound server."""
    parts = urlsplit(uri)
    driver, _, transport = parts.scheme.partition("+")
    return driver == "qemu" and transport in ("", "unix") and not parts.netloc and parts.path == "/session"


def stream_name(domain: str) -> str:
    """What the desktop's own mixer calls a domain and its sound, as no program is; the guest has no say in it."""
    return f"[{domain}]"


def is_stream_name(text: str) -> bool:
    """Whether *text* is what the sound of some domain is called, under whatever name it had."""
    return text.startswith("[") and text.endswith("]")


def sound_text(domain: Domain) -> str:
    """What becomes of a domain's sound, in words; empty for who has none and is to have none."""
    device = domain.config.sound
    heard = "muted" if domain.config.muted else "on"
    if domain.state.is_active and device and device.backend == PLAYING:
        return heard if is_heard(domain) else f"{heard}, off from the next start on"
    if not is_heard(domain):
        return f"played by {device.backend}" if device and device.backend != SILENT else ""
    if not can_be_heard(domain.key.connection):
        return "none: QEMU does not run as the user of this machine’s sound there"
    if domain.state.is_active or domain.state is DomainState.SAVED:
        return "none in this run: no sound server answered, or another program started it"
    return heard
