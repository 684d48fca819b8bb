"""Answers who may ask a domain's keeper: programs of the same user, by a socket in the keepers' folder."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from qubes_manager.core.firewall.control import MAX_CONTROL_LINE, QUESTIONS, Failed
from qubes_manager.core.json_lines import BadMessage

_PATIENCE = 60.0
_MOST_CLIENTS = 16


def socket_path(folder: Path, uuid: str) -> Path:
    """Where a domain's keeper is asked."""
    return folder / f"{uuid}.socket"


class ControlServer:
    """One line is one question, and has one line as its answer."""

    def __init__(self, folder: Path, uuid: str, answer: Callable[[object], Awaitable[str]]) -> None:
        self._path = socket_path(folder, uuid)
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._clients = 0

    async def start(self) -> None:
        """Begin to listen; raises OSError."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        # The name of a socket has 107 bytes at most, its folder's may be longer.
        os.chdir(self._path.parent)
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(self._path.name)
        self._path.chmod(0o600)
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=MAX_CONTROL_LINE)

    def close(self) -> None:
        """Listen no more; the socket goes."""
        if self._server:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            while self._clients <= _MOST_CLIENTS:
                async with asyncio.timeout(_PATIENCE):
                    line = await reader.readline()
                if not line:
                    return
                try:
                    answer = await self._answer(QUESTIONS.parse(line.rstrip(b"\n")))
                except BadMessage as error:
                    answer = Failed(str(error)).to_json()
                writer.write(answer.encode() + b"\n")
                async with asyncio.timeout(_PATIENCE):
                    await writer.drain()
        except (OSError, ValueError, TimeoutError):
            return
        finally:
            self._clients -= 1
            writer.close()
