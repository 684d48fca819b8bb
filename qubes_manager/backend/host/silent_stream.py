"""A stream of the user's sound server that stands still: what a server keeps for streams of a name shows by one.

pulsectl knows streams that record; the others are libpulse's own (stream.h).
"""

import asyncio
import contextlib
import ctypes
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from qubes_manager.core.errors import HostCallFailed

if TYPE_CHECKING:
    from pulsectl import PulseSinkInputInfo, PulseSourceOutputInfo
    from pulsectl_asyncio import PulseAsync

# def.h and sample.h of libpulse: the stream is made, and ready; it stands still; 16 bits.
_CREATING, _READY, _CORKED, _S16LE = 1, 2, 1, 3
# No sink or source yet (def.h, PA_INVALID_INDEX).
NONE = (1 << 32) - 1
# Seconds between two looks.
_PAUSE = 0.005


@contextlib.asynccontextmanager
async def silent_stream(pulse: "PulseAsync", name: str) -> "AsyncIterator[PulseSinkInputInfo]":
    """A stream that plays nothing, as it is with all that the server keeps for such ones; raises HostCallFailed."""
    async with _standing_still(pulse, name) as (library, stream):
        library.pa_stream_connect_playback(stream, None, None, _CORKED, None, None)
        index = await _made(library, stream, "plays", name)
        # A server has put all to it before it leads it to where it is heard.
        while (found := await pulse.sink_input_info(index)).sink == NONE:  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE)
        yield found


@contextlib.asynccontextmanager
async def deaf_stream(pulse: "PulseAsync", name: str) -> "AsyncIterator[PulseSourceOutputInfo]":
    """The same of one that records nothing; raises HostCallFailed."""
    async with _standing_still(pulse, name) as (library, stream):
        library.pa_stream_connect_record(stream, None, None, _CORKED)
        index = await _made(library, stream, "records", name)
        while (found := await pulse.source_output_info(index)).source == NONE:  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE)
        yield found


@contextlib.asynccontextmanager
async def _standing_still(pulse: "PulseAsync", name: str) -> AsyncIterator[tuple[Any, Any]]:
    """libpulse, and a new stream of a name, which goes with the block."""
    from pulsectl import _pulsectl as bindings

    calls = library()
    spec = bindings.PA_SAMPLE_SPEC(format=_S16LE, rate=44100, channels=2)
    properties = bindings.pa.proplist_from_string("")
    stream = bindings.pa.stream_new_with_proplist(pulse._ctx, name, ctypes.byref(spec), None, properties)
    bindings.pa.proplist_free(properties)
    try:
        yield calls, stream
    finally:
        calls.pa_stream_disconnect(stream)
        bindings.pa.stream_unref(stream)


async def _made(calls: Any, stream: Any, verb: str, name: str) -> int:
    """The index of a stream, when the server has made it."""
    while calls.pa_stream_get_state(stream) == _CREATING:  # noqa: ASYNC110 - pulsectl hears of its own alone
        await asyncio.sleep(_PAUSE)
    if calls.pa_stream_get_state(stream) != _READY:
        raise HostCallFailed(f"the sound server of this machine {verb} nothing", name)
    return int(calls.pa_stream_get_index(stream))


def library() -> Any:
    """The calls that pulsectl has no words for; the library itself is loaded once."""
    calls = ctypes.CDLL("libpulse.so.0")
    pointer, number, text = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_char_p
    calls.pa_stream_connect_playback.argtypes = [pointer, text, pointer, ctypes.c_int, pointer, pointer]
    calls.pa_stream_connect_record.argtypes = [pointer, text, pointer, ctypes.c_int]
    calls.pa_context_kill_source_output.argtypes = [pointer, number, pointer, pointer]
    calls.pa_context_kill_source_output.restype = pointer
    calls.pa_operation_unref.argtypes = [pointer]
    for call in (calls.pa_stream_get_state, calls.pa_stream_get_index, calls.pa_stream_disconnect):
        call.argtypes = [pointer]
    calls.pa_stream_get_index.restype = number
    return calls
