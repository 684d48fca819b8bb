"""Plays the guest's end of calls by orders; runs in a guest as root, in the place of its service program.

An order is how to begin (``call``: the fields of a call of its own, or none to serve the next one that is started) and
steps; what it has heard is the answer. Both go through pipes of these names, a line of JSON each.
"""

import base64
import contextlib
import json
import os
import select
import signal
import tarfile
import time
from pathlib import Path
from typing import Any

ORDERS, ANSWERS = "/tmp/orders", "/tmp/answers"
_PORTS = "/dev/virtio-ports/org.qubes_manager"
# Seconds for a call to end.
_PATIENCE = 60.0


class Talk:
    """What is said through the request port."""

    def __init__(self) -> None:
        self._port = os.open(f"{_PORTS}.req.0", os.O_RDWR)
        self._rest = b""
        self._heard: list[dict[str, Any]] = []
        self._is_greeted = False
        os.write(self._port, b"\n")
        self.tell("hello", version=1, tools="", begins=True)
        while not self._is_greeted:
            self.listen(1)

    def tell(self, kind: str, **fields: object) -> None:
        os.write(self._port, json.dumps({"type": kind, **fields}).encode() + b"\n")

    def listen(self, patience: float) -> None:
        """Take what comes, within so many seconds."""
        if not select.select([self._port], [], [], patience)[0]:
            return
        self._rest += os.read(self._port, 1 << 16)
        *lines, self._rest = self._rest.split(b"\n")
        for message in (json.loads(line) for line in lines if line.strip()):
            if message["type"] != "hello":
                self._heard.append(message)
            elif message["begins"]:
                self.tell("hello", version=1, tools="", begins=False)
            else:
                self._is_greeted = True

    def heard(self, kinds: tuple[str, ...], call: int | None = None) -> dict[str, Any] | None:
        """What has been said of that, if it has."""
        for message in self._heard:
            if message["type"] in kinds and call in (None, message["call"]):
                self._heard.remove(message)
                return message
        return None

    def hear(self, kinds: tuple[str, ...], call: int | None = None) -> dict[str, Any]:
        """Wait until it is said."""
        end = time.monotonic() + _PATIENCE
        while (message := self.heard(kinds, call)) is None:
            if time.monotonic() > end:
                return {"type": "nothing", "reason": f"nothing was said of {kinds}", "call": call}
            self.listen(0.5)
        return message


class Play:
    """One call."""

    def __init__(self, talk: Talk, call: int, port: str, is_mine: bool) -> None:
        self._talk = talk
        self._call = call
        self._last = "ended" if is_mine else "cancel"
        self._port = os.open(port, os.O_RDWR | os.O_NONBLOCK)
        self.said = b""
        self.written = 0
        self.ended: dict[str, Any] | None = None
        talk.tell("ready", call=call)

    def close(self) -> None:
        os.close(self._port)

    def is_over(self) -> bool:
        """Whether the host has said its last word."""
        self._talk.listen(0)
        self.ended = self.ended or self._talk.heard((self._last,), self._call)
        return self.ended is not None

    def read(self) -> None:
        """Take what is there, or wait a moment."""
        if select.select([self._port], [], [], 0.05)[0]:
            with contextlib.suppress(BlockingIOError):
                data = os.read(self._port, 1 << 16)
                self.said += data
                if not data:
                    time.sleep(0.05)

    def write(self, text: str) -> None:
        rest = memoryview(base64.b64decode(text))
        while rest and not self.is_over():
            select.select([], [self._port], [], 0.1)
            with contextlib.suppress(BlockingIOError):
                sent = os.write(self._port, rest)
                self.written += sent
                rest = rest[sent:]

    def until(self, text: str) -> None:
        """Read until that has been said."""
        while text.encode() not in self.said and not self.is_over():
            self.read()

    def drain(self, _none: object) -> None:
        """Read until nothing more comes."""
        before = -1
        while len(self.said) > before:
            before = len(self.said)
            self.read()

    def members(self, _none: object) -> None:
        """Empty files without end."""
        number = 0
        while not self.is_over():
            headers = b"".join(tarfile.TarInfo(f"endless-{number + more}").tobuf() for more in range(50))
            self.write(base64.b64encode(headers).decode())
            number += 50

    def zeros(self, _none: object) -> None:
        """Bytes without end."""
        piece = base64.b64encode(bytes(1 << 16)).decode()
        while not self.is_over():
            self.write(piece)

    def sent(self, size: int | None) -> None:
        """Say how much it was; nothing for the truth."""
        self._talk.tell("sent", call=self._call, size=self.written if size is None else size)

    def stop(self, _none: object) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def end(self, code: int) -> None:
        self._talk.tell("ended", call=self._call, code=code, reason="")
        self.ended = {"type": "ended", "code": code, "reason": "its own word"}

    def wait(self, _none: object) -> None:
        """Read nothing, until it is over."""
        end = time.monotonic() + _PATIENCE
        while not self.is_over() and time.monotonic() < end:
            time.sleep(0.05)


def play(talk: Talk, order: dict[str, Any], number: int) -> dict[str, object]:
    is_mine = "call" in order
    if is_mine:
        talk.tell("call", call=number, **order["call"])
        begun = talk.hear(("accepted", "ended"), number)
    else:
        begun = talk.hear(("start",))
    if "port" not in begun:
        return {"said": "", "written": 0, "ended": begun}
    acting = Play(talk, begun["call"], f"{_PORTS}.dat.{begun['port']}", is_mine)
    for verb, what in order["steps"]:
        getattr(acting, verb)(what)
    end = time.monotonic() + _PATIENCE
    while not acting.is_over() and time.monotonic() < end:
        acting.read()
    # The last words may have come before the end was heard.
    acting.read()
    acting.close()
    return {
        "said": acting.said.decode("utf-8", "replace"),
        "written": acting.written,
        "ended": acting.ended,
    }


def main() -> None:
    for path in (ORDERS, ANSWERS):
        os.mkfifo(path)
    talk, number = Talk(), 0
    while True:
        with Path(ORDERS).open() as pipe:
            orders = json.load(pipe)
        answers = []
        for order in orders:
            number += 1
            answers.append(play(talk, order, number))
        with Path(ANSWERS).open("w") as pipe:
            json.dump(answers, pipe)


if __name__ == "__main__":
    main()
