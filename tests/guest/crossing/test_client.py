"""What guest commands call services with, against a service program that the tests play."""

import os
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from qubes_manager.core.crossing.guest_messages import (
    Accepted,
    Call,
    Cancel,
    End,
    Ended,
    ErrorText,
    FromGuest,
    Sent,
    StandsStill,
    ToGuest,
    parse_from_guest,
)
from qubes_manager.core.errors import Refused, TimedOut
from qubes_manager.guest.crossing.client import MAX_ERRORS, CallFailed, Conversation, Heard, Result, call
from tests.waiting import PATIENCE


class Played:
    """The service program of a guest: hears one client, and says what a test wants."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "calls"
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen()
        self.port, self._handed = socket.socketpair()
        self.link: socket.socket
        self.lines: BinaryIO

    def accept(self) -> Call:
        """The client's call."""
        self.link = self._server.accept()[0]
        self.link.settimeout(PATIENCE)
        self.lines = self.link.makefile("rb")
        message = self.hear()
        assert isinstance(message, Call)
        return message

    def hear(self) -> FromGuest | None:
        line = self.lines.readline()
        return parse_from_guest(line) if line else None

    def tell(self, *messages: ToGuest) -> None:
        for message in messages:
            data = message.to_json().encode() + b"\n"
            if isinstance(message, Accepted):
                socket.send_fds(self.link, [data], [self._handed.fileno()])
                self._handed.close()
            else:
                self.link.sendall(data)

    def close(self) -> None:
        for end in (self._server, self.port, self._handed, getattr(self, "link", self._server)):
            end.close()


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Played]:
    program = Played(tmp_path)
    yield program
    program.close()


def begun(played: Played, *first: ToGuest, heard: Heard = lambda _text: None) -> Conversation:
    """A conversation whose service program has accepted, and said *first* too."""

    def accept() -> None:
        played.accept()
        played.tell(Accepted(0, 2, "disp7"), *first)

    thread = threading.Thread(target=accept)
    thread.start()
    conversation = call("qubes.Filecopy", heard=heard, path=str(played.path))
    thread.join(PATIENCE)
    return conversation


def test_a_call_is_told_as_it_was_made_and_bytes_go_both_ways(played: Played) -> None:
    heard: list[object] = []
    said = list[str]()

    def serve() -> None:
        heard.append(played.accept())
        played.tell(ErrorText(0, "“work” is being started\n"), Accepted(0, 2, "disp7"))
        heard.append(played.port.recv(100))
        heard.append(played.hear())
        played.port.sendall(b"answer")
        played.tell(ErrorText(0, "careful\n"), End(0, 6), Ended(0, 3, "so so"))

    thread = threading.Thread(target=serve)
    thread.start()
    path = str(played.path)
    with call(
        "qubes.Filecopy", "+x", "work", names=["a"], count=1, size=7, heard=said.append, path=path
    ) as conversation:
        assert (conversation.target, said) == ("disp7", ["“work” is being started\n"])
        conversation.write(b"request")
        conversation.finish()
        assert conversation.read(4) + conversation.read() == b"answer"
        assert conversation.read() == b""
        assert conversation.result() == Result(3, "so so")
        assert said[1:] == ["careful\n"]
    thread.join(PATIENCE)
    assert heard == [Call(0, "qubes.Filecopy", "+x", "work", ("a",), 1, 7), b"request", Sent(0, 7)]


@pytest.mark.parametrize(("code", "kind"), [(126, Refused), (125, CallFailed)])
def test_a_refusal_and_a_failure_are_told_apart(played: Played, code: int, kind: type[Exception]) -> None:
    def refuse() -> None:
        played.accept()
        played.tell(Ended(0, code, "no rule allows it"))

    thread = threading.Thread(target=refuse)
    thread.start()
    with pytest.raises(kind, match="no rule allows it"):
        call("qubes.Filecopy", path=str(played.path))
    thread.join(PATIENCE)


def test_without_the_service_program_a_call_fails(tmp_path: Path) -> None:
    with pytest.raises(CallFailed, match="does not run here: No such file"):
        call("qubes.Filecopy", path=str(tmp_path / "none"))


def test_a_program_that_ends_in_the_middle_ends_the_call(played: Played) -> None:
    conversation = begun(played)
    played.link.close()
    played.lines.close()
    assert conversation.result().code == 125
    with pytest.raises(CallFailed, match="has ended here"):
        conversation.write(b"x")
    conversation.close()


def test_bytes_that_were_announced_and_do_not_come_are_no_end(played: Played) -> None:
    conversation = begun(played, End(0, 10), Ended(0, 0))
    played.port.sendall(b"half")
    played.port.close()
    assert conversation.read() == b"half"
    with pytest.raises(CallFailed, match="broke off before all was sent"):
        conversation.read()
    conversation.close()


def test_an_end_without_a_number_of_bytes_is_a_failure_to_who_reads(played: Played) -> None:
    conversation = begun(played, Ended(0, 125, "“work” was killed"))
    with pytest.raises(CallFailed, match="“work” was killed"):
        conversation.read()
    assert conversation.result() == Result(125, "“work” was killed")
    conversation.close()


def test_who_writes_to_a_service_that_has_ended_is_told(played: Played) -> None:
    conversation = begun(played)
    threading.Timer(0.1, lambda: played.tell(Ended(0, 1, "the disk is full"))).start()
    with pytest.raises(CallFailed, match="the disk is full"):
        for _ in range(1000):
            conversation.write(bytes(1 << 16))
    conversation.close()


def test_leaving_early_lets_go_of_everything(played: Played) -> None:
    with begun(played):
        pass
    assert played.hear() is None
    assert played.port.recv(1) == b""


def test_a_cancelled_call_says_so(played: Played) -> None:
    conversation = begun(played)
    conversation.cancel()
    assert played.hear() == Cancel(0)
    assert conversation.result() == Result(125, "cancelled")
    conversation.close()


def test_what_a_program_joins_goes_both_ways_at_once(played: Played) -> None:
    """Neither side may wait for the other to read."""
    size = 4 << 20
    said = list[str]()
    conversation = begun(played, heard=said.append)
    received = bytearray()

    def echo() -> None:
        while len(received) < size:
            data = played.port.recv(1 << 16)
            received.extend(data)
            played.port.sendall(data)
        assert played.hear() == Sent(0, size)
        played.tell(ErrorText(0, "done\n"), End(0, size), Ended(0, 4))

    sent = os.urandom(size)
    (source, source_end), (target, target_end) = os.pipe(), os.pipe()
    back = bytearray()

    def feed() -> None:
        with os.fdopen(source_end, "wb") as file:
            file.write(sent)

    def collect() -> None:
        while data := os.read(target, 1 << 16):
            back.extend(data)

    threads = [threading.Thread(target=work) for work in (echo, feed, collect)]
    for thread in threads:
        thread.start()
    result = conversation.join(source, target_end)
    os.close(target_end)
    for thread in threads:
        thread.join(PATIENCE)
    assert result == Result(4)
    assert bytes(received) == sent == bytes(back)
    assert said == ["done\n"]
    for fd in (source, target):
        os.close(fd)
    conversation.close()


def test_a_target_that_is_slow_keeps_nobody_waiting(played: Played) -> None:
    """What a program writes to the service is taken while that program does not read yet: neither waits for ever."""
    size, answer = 1 << 20, os.urandom(120_000)
    conversation = begun(played)
    (source, source_end), (target, target_end) = os.pipe(), os.pipe()
    os.set_blocking(target_end, False)
    sent, back = os.urandom(size), bytearray()

    def program() -> None:
        """As a local program may be: it writes all, and reads then."""
        with os.fdopen(source_end, "wb") as file:
            file.write(sent)
        while data := os.read(target, 1 << 16):
            back.extend(data)

    def service() -> None:
        # More than the pipe of a program holds, and no more than waits in ports.
        played.port.sendall(answer)
        received = bytearray()
        while len(received) < size:
            received.extend(played.port.recv(1 << 16))
        assert received == sent
        assert played.hear() == Sent(0, size)
        played.tell(End(0, len(answer)), Ended(0, 0))

    threads = [threading.Thread(target=work) for work in (program, service)]
    for thread in threads:
        thread.start()
    assert conversation.join(source, target_end) == Result(0)
    os.close(target_end)
    for thread in threads:
        thread.join(PATIENCE)
    assert bytes(back) == answer
    os.close(source)
    os.close(target)
    conversation.close()


def test_a_target_that_takes_no_more_ends_the_call_or_loses_what_comes(played: Played) -> None:
    conversation = begun(played)
    (source, source_end), (target, target_end) = os.pipe(), os.pipe()
    os.close(target)
    os.close(source_end)
    played.port.sendall(b"lost")
    with pytest.raises(BrokenPipeError):
        conversation.join(source, target_end)
    played.port.sendall(b"too")
    played.tell(End(0, 7), Ended(0, 4))
    assert conversation.join(source, target_end, drops=True) == Result(4)
    os.close(source)
    os.close(target_end)
    conversation.close()


def test_of_what_a_service_says_only_so_much_is_passed_on(played: Played) -> None:
    said = list[str]()
    more = [ErrorText(0, "x" * 4000)] * (MAX_ERRORS // 4000 + 5)
    conversation = begun(played, heard=said.append)
    telling = threading.Thread(target=played.tell, args=(*more, End(0, 0), Ended(0, 0)))
    telling.start()
    assert conversation.result() == Result(0)
    telling.join(PATIENCE)
    assert len("".join(said)) == MAX_ERRORS
    conversation.close()


def test_a_service_whose_caller_stands_still_waits_longer_than_for_one_that_is_silent() -> None:
    link, program = socket.socketpair()
    port, host = socket.socketpair()
    with program, host, Conversation(link, os.dup(port.fileno()), 0.01) as conversation:
        port.close()
        program.sendall(StandsStill(0).to_json().encode() + b"\n")
        conversation._wait(select.POLLIN)
        with pytest.raises(TimedOut, match="has let this wait"):
            conversation._wait(select.POLLIN)
