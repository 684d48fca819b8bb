"""Asking the keeper of a running domain's network."""

import asyncio
import os
import socket
from pathlib import Path

from qubes_manager.core.errors import HostCallFailed, NotFound
from qubes_manager.core.firewall.control import (
    ANSWERS,
    MAX_CONTROL_LINE,
    AskNetwork,
    Failed,
    NetworkState,
    SetFirewall,
    SetVia,
)
from qubes_manager.core.json_lines import BadMessage

# It puts rules into effect before it answers.
_PATIENCE = 30.0


async def ask_keeper(folder: Path, uuid: str, question: AskNetwork | SetFirewall | SetVia) -> NetworkState:
    """Return what a domain's keeper answers; raises NotFound where there is none, HostCallFailed when it refuses."""
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_unix_connection(
                sock=await asyncio.to_thread(_connect, folder, uuid), limit=MAX_CONTROL_LINE
            )
            try:
                writer.write(question.to_json().encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
    except TimeoutError:
        raise HostCallFailed("what keeps the domain’s network does not answer") from None
    except (OSError, ValueError) as error:
        raise NotFound(f"nobody keeps the domain’s network: {error}") from error
    if not line:
        raise NotFound("what keeps the domain’s network has ended")
    try:
        answer = ANSWERS.parse(line.rstrip(b"\n"))
    except BadMessage as error:
        raise HostCallFailed(f"what keeps the domain’s network says something else: {error}") from error
    if isinstance(answer, Failed):
        raise HostCallFailed(answer.reason)
    return answer


def _connect(folder: Path, uuid: str) -> socket.socket:
    """By way of the folder's descriptor: a socket's name has 107 bytes at most."""
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(f"/proc/self/fd/{place}/{uuid}.socket")
        except OSError:
            connection.close()
            raise
        connection.setblocking(False)
        return connection
    finally:
        os.close(place)
