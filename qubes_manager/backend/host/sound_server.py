"""The user's sound server on this machine: PulseAudio, or PipeWire, which answers as PulseAudio does.

pulsectl-asyncio asks it: what QEMU plays is muted by the server itself, for now and for streams to come, since servers
keep of streams by what they are called whether they were muted. PulseAudio's extension for that, “stream-restore”, is
none of WirePlumber 0.5 (Debian 13), but for system sounds: so streams are muted, and nothing is written for them.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

import libvirt

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.host.silent_stream import silent_stream
from qubes_manager.backend.xml import parse
from qubes_manager.core.errors import HostCallFailed, QubesManagerError
from qubes_manager.core.sound import stream_name

if TYPE_CHECKING:
    from pulsectl_asyncio import PulseAsync

# Seconds for all that is asked of it at once; it is on this machine, which may be busy.
PATIENCE = 5.0
_HELP_SECONDS = 10
# Streams that show whether what the one before was told is kept.
_TRIES = 5
# QEMU's name of its part that plays to PulseAudio, and what all its programs have in theirs.
_PART, _QEMU = "pa", "qemu"


def server_address() -> str:
    """Where the user's sound server listens, as libpulse takes it (PULSE_SERVER in pulseaudio(1))."""
    if named := os.environ.get("PULSE_SERVER"):
        return named
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return f"unix:{os.environ.get('PULSE_RUNTIME_PATH') or f'{runtime}/pulse'}/native"


def emulator_path(raw: libvirt.virConnect) -> str:
    """The QEMU that a connection's domains run in. Blocks."""
    return parse(raw.getDomainCapabilities(None, "x86_64", "q35", None)).findtext("path") or ""


def can_play(emulator: str) -> bool:
    """Whether a QEMU can play to PulseAudio; Debian has that part in a package of its own, qemu-system-gui. Blocks."""
    try:
        words = run_tool_now([emulator, "-audiodev", "help"], timeout=_HELP_SECONDS).decode("utf-8", "replace")
    except QubesManagerError:
        return False
    return _PART in words.split()


async def answers(address: str) -> bool:
    """Whether a sound server takes clients at *address*."""
    try:
        async with talk(address):
            return True
    except HostCallFailed:
        return False


async def set_muted(address: str, domain: str, muted: bool) -> None:
    """Let nothing be heard of a domain, or let it be heard again: what plays now, and whatever it plays later.

    Raises HostCallFailed.
    """
    name = stream_name(domain)
    async with talk(address, name) as pulse:
        for playing in await pulse.sink_input_list():
            if plays(playing.proplist, domain):
                await pulse.mute(playing, muted)
        # Later ones are as the last of that name, and keep its volume: one of ours is told, and the next one shows it.
        for _try in range(_TRIES):
            async with silent_stream(pulse, name) as ours:
                if bool(ours.mute) is muted:
                    return
                await pulse.mute(ours, muted)
    raise HostCallFailed("the sound server of this machine does not keep which programs are muted", address)


def plays(properties: Mapping[str, str], domain: str) -> bool:
    """Whether a stream of these properties (proplist.h of libpulse) is what QEMU plays for a domain.

    QEMU is not always known by the name that it is told (sound_xml.py): one that has run since before it was told any
    is called as its domain, and the user may have told it another. Its stream has the name all the same.
    """
    name, known = stream_name(domain), properties.get("application.name")
    is_qemu = known == domain or _QEMU in properties.get("application.process.binary", "")
    return known == name or (is_qemu and properties.get("media.name") == name)


@contextlib.asynccontextmanager
async def talk(address: str, name: str = "qubes-manager") -> "AsyncIterator[PulseAsync]":
    """Be a client of the server while the block runs; raises HostCallFailed for all that goes wrong there."""
    try:
        # libpulse itself may be missing, and most commands need no sound.
        from pulsectl import PulseDisconnected, PulseError
        from pulsectl_asyncio import PulseAsync
    except (ImportError, OSError) as error:
        raise HostCallFailed("libpulse is not installed: nothing of domains can be heard", str(error)) from error
    try:
        async with asyncio.timeout(PATIENCE), PulseAsync(name, server=address) as pulse:
            yield pulse
    except (PulseError, PulseDisconnected, TimeoutError) as error:
        raise HostCallFailed("the sound server of this machine does not answer", f"{address}: {error}") from error
