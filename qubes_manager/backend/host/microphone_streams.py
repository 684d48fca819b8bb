"""What domains hear of the user's microphone, as the user's sound server lets them: nothing, but for who is unmuted.

QEMU's stream records all the time; the server mutes it. A server keeps of streams, by what they are called, whether
they were muted: so it keeps “muted” always, and only a stream that is there is let hear. Where the server cannot mute
one it is ended, which deafens its domain for the rest of its run.
"""

import asyncio
import contextlib
import ctypes
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from qubes_manager.backend.host.silent_stream import NONE, deaf_stream, library
from qubes_manager.backend.host.sound_server import PATIENCE, plays, talk
from qubes_manager.core.devices.microphone import Recorder
from qubes_manager.core.errors import HostCallFailed, Refused
from qubes_manager.core.sound import is_stream_name, stream_name

if TYPE_CHECKING:
    from pulsectl import PulseSourceInfo, PulseSourceOutputInfo
    from pulsectl_asyncio import PulseAsync

# Seconds of one burst of the server's news.
_BURST = 0.02
# Streams that show whether what the one before was told is kept.
_TRIES = 5
_NO_ANSWER = "the sound server of this machine does not answer"
_NO_MICROPHONE = "this machine has no microphone that is plugged in: what it plays itself would be heard in its place"


async def microphone_name(address: str) -> str:
    """What the server at *address* records from, in its own words; empty where nothing. Raises HostCallFailed."""
    async with talk(address) as pulse:
        source = await _microphone(pulse)
    return str(source.description or source.name)[:400] if source else ""


async def recorders(address: str) -> list[Recorder]:
    """The streams by which domains hear or may; raises HostCallFailed."""
    async with talk(address) as pulse:
        return await _recorders(pulse)


async def keep_muted(address: str, domain: str) -> None:
    """Let whatever a domain records from now on be silence, before it starts; raises HostCallFailed."""
    async with talk(address, stream_name(domain)) as pulse:
        await _keep_muted(pulse, stream_name(domain))


async def mute(address: str, domain: str) -> None:
    """Let a domain hear nothing, now and later; a stream that stays open is ended. Raises HostCallFailed."""
    async with talk(address, stream_name(domain)) as pulse:
        for stream in await _of_domain(pulse, domain):
            await _silence(pulse, stream.index)
        await _keep_muted(pulse, stream_name(domain))


async def unmute(address: str, domain: str) -> None:
    """Let a domain that runs hear, until it is muted or ends; its next run begins muted.

    Raises Refused where there is no microphone, or where the domain was started without a way to hear, and
    HostCallFailed; then it hears nothing.
    """
    async with talk(address, stream_name(domain)) as pulse:
        streams = await _of_domain(pulse, domain)
        if not streams:
            raise Refused(
                f"“{domain}” was started without a way to hear: assign the microphone to it, and start it again"
            )
        microphone = await _microphone(pulse)
        if microphone is None:
            raise Refused(_NO_MICROPHONE)
        try:
            for stream in streams:
                if _is_monitor(await pulse.source_info(stream.source)):
                    await pulse.source_output_move(stream.index, microphone.index)
                    if _is_monitor(await pulse.source_info((await pulse.source_output_info(stream.index)).source)):
                        raise Refused(_NO_MICROPHONE)
                await pulse.source_output_mute(stream.index, False)
            await _keep_muted(pulse, stream_name(domain))
        except BaseException:
            # Also where it is given up: nobody would know that it hears.
            async with asyncio.timeout(PATIENCE):
                await _silence_all(pulse, domain)
            raise


async def follow(address: str) -> AsyncGenerator[list[Recorder], None]:
    """Tell which streams of domains there are, at once and whenever that changes, until the server ends.

    Where the microphone is pulled out, servers lead its streams to what the machine plays itself: such are muted.
    Raises HostCallFailed.
    """
    try:
        from pulsectl import PulseDisconnected, PulseError
        from pulsectl_asyncio import PulseAsync
    except (ImportError, OSError) as error:
        raise HostCallFailed("libpulse is not installed: no domain can hear", str(error)) from error
    pulse = PulseAsync("qubes-manager", server=address)
    news = asyncio.Event()
    listener: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(PATIENCE):
            await pulse.connect()
        listener = asyncio.create_task(_listen(pulse, news))
        known: list[Recorder] | None = None
        while not listener.done():
            news.clear()
            async with asyncio.timeout(PATIENCE):
                found = await _guarded(pulse)
            if found != known:
                known = found
                yield found
            await news.wait()
            await asyncio.sleep(_BURST)
        await listener
    except (PulseError, PulseDisconnected, TimeoutError) as error:
        raise HostCallFailed(_NO_ANSWER, f"{address}: {error}") from error
    finally:
        if listener:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
        pulse.close()


async def _listen(pulse: "PulseAsync", news: asyncio.Event) -> None:
    try:
        async for _event in pulse.subscribe_events("source_output", "source"):
            news.set()
    finally:
        news.set()


async def _guarded(pulse: "PulseAsync") -> list[Recorder]:
    found = await _recorders(pulse)
    astray = [one for one in found if one.of_monitor and not one.muted]
    for one in astray:
        await _silence(pulse, one.index)
    return await _recorders(pulse) if astray else found


async def _recorders(pulse: "PulseAsync") -> list[Recorder]:
    monitors = {source.index for source in await pulse.source_list() if _is_monitor(source)}
    found = []
    for stream in await pulse.source_output_list():
        name = _name(stream)
        if name:
            found.append(
                Recorder(stream.index, name, bool(stream.mute), bool(stream.corked), stream.source in monitors)
            )
    return sorted(found, key=lambda one: one.index)


def _name(stream: "PulseSourceOutputInfo") -> str:
    """The domain that a stream is of; empty for what is no domain's."""
    for key in ("application.name", "media.name"):
        said = str(stream.proplist.get(key) or "")[:256]
        if is_stream_name(said) and plays(stream.proplist, said[1:-1]):
            return said[1:-1]
    return ""


async def _of_domain(pulse: "PulseAsync", domain: str) -> "list[PulseSourceOutputInfo]":
    return [stream for stream in await pulse.source_output_list() if plays(stream.proplist, domain)]


async def _microphone(pulse: "PulseAsync") -> "PulseSourceInfo | None":
    """What the desktop records from: what it has chosen, or else the first that is no monitor."""
    sources = [source for source in await pulse.source_list() if not _is_monitor(source)]
    chosen = (await pulse.server_info()).default_source_name
    return next((source for source in sources if source.name == chosen), next(iter(sources), None))


def _is_monitor(source: "PulseSourceInfo") -> bool:
    return source.monitor_of_sink != NONE or source.name.endswith(".monitor")


async def _silence_all(pulse: "PulseAsync", domain: str) -> None:
    for stream in await _of_domain(pulse, domain):
        await _silence(pulse, stream.index)


async def _silence(pulse: "PulseAsync", index: int) -> None:
    """Mute a stream; where it is not muted afterwards it is ended. One that has ended meanwhile is as good."""
    from pulsectl import PulseError

    with contextlib.suppress(PulseError):
        await pulse.source_output_mute(index, True)
        if (await pulse.source_output_info(index)).mute:
            return
    if any(stream.index == index for stream in await pulse.source_output_list()):
        calls = library()
        operation = calls.pa_context_kill_source_output(ctypes.cast(pulse._ctx, ctypes.c_void_p), index, None, None)
        if operation:
            calls.pa_operation_unref(operation)
        # The server answers in turn: after this one it has done it.
        if any(stream.index == index for stream in await pulse.source_output_list()):
            raise HostCallFailed("the sound server of this machine does not mute what a domain records", str(index))


async def _keep_muted(pulse: "PulseAsync", name: str) -> None:
    """Let the server keep that streams of that name are muted: a new one shows it."""
    for _try in range(_TRIES):
        async with deaf_stream(pulse, name) as ours:
            if ours.mute:
                return
            await pulse.source_output_mute(ours.index, True)
    raise HostCallFailed("the sound server of this machine does not keep which programs may not record", name)
