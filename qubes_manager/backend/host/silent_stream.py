"""A stream of the user's sound server that plays nothing: what a server keeps for streams of a name shows by one.

pulsectl knows streams that record; the others are libpulse's own (stream.h).
"""

import asyncio
import contextlib
import ctypes
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from qubes_manager.core.errors import HostCallFailed

if TYPE_CHECKING:
    from pulsectl import PulseSinkInputInfo
    from pulsectl_asyncio import PulseAsync

# def.h and sample.h of libpulse: the stream is made, and ready; it stands still; 16 bits.
_CREATING, _READY, _CORKED, _S16LE = 1, 2, 1, 3
# No sink yet (def.h, PA_INVALID_INDEX).
_NONE = (1 << 32) - 1
# Seconds between two looks.
_PAUSE = 0.005


@contextlib.asynccontextmanager
async def silent_stream(pulse: "PulseAsync", name: str) -> "AsyncIterator[PulseSinkInputInfo]":
    """A stream as it is when the server has put to it what it keeps for such ones; raises HostCallFailed."""
    from pulsectl import _pulsectl as bindings

    library = _library()
    spec = bindings.PA_SAMPLE_SPEC(format=_S16LE, rate=44100, channels=2)
    properties = bindings.pa.proplist_from_string("")
    stream = bindings.pa.stream_new_with_proplist(pulse._ctx, name, ctypes.byref(spec), None, properties)
    bindings.pa.proplist_free(properties)
    try:
        library.pa_stream_connect_playback(stream, None, None, _CORKED, None, None)
        while library.pa_stream_get_state(stream) == _CREATING:  # noqa: ASYNC110 - pulsectl hears of its own alone
            await asyncio.sleep(_PAUSE)
        if library.pa_stream_get_state(stream) != _READY:
            raise HostCallFailed("the sound server of this machine plays nothing", name)
        # A server has put all to it before it leads it to where it is heard.
        index = library.pa_stream_get_index(stream)
        while (found := await pulse.sink_input_info(index)).sink == _NONE:  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE)
        yield found
    finally:
        library.pa_stream_disconnect(stream)
        bindings.pa.stream_unref(stream)


def _library() -> Any:
    """The calls that pulsectl has no words for; the library itself is loaded once."""
    library = ctypes.CDLL("libpulse.so.0")
    playback = library.pa_stream_connect_playback
    playback.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    for call in (library.pa_stream_get_state, library.pa_stream_get_index, library.pa_stream_disconnect):
        call.argtypes = [ctypes.c_void_p]
    library.pa_stream_get_index.restype = ctypes.c_uint32
    return library
