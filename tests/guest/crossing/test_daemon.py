"""The guest's service program on this machine, against a broker and clients that the tests play."""

import contextlib
import itertools
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.core.crossing.file_messages import Offer, parse_file_message
from qubes_manager.core.crossing.guest_messages import (
    Accepted,
    Call,
    Cancel,
    End,
    Ended,
    ErrorText,
    FromGuest,
    Hello,
    Ready,
    Sent,
    Start,
    parse_from_guest,
)
from qubes_manager.core.errors import Refused
from qubes_manager.guest.crossing.client import CallFailed, Conversation, Result, call
from tests.guest.crossing.played_broker import (
    PlayedBroker,
    RunningDaemon,
    is_running,
    is_silent,
    receive,
    service,
)
from tests.waiting import PATIENCE, wait_until

FIRST = 1 << 30
# Of calls by the side; no number comes twice.
NUMBERS = itertools.count(FIRST + 1000)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qm-") as name:
        yield Path(name)


@pytest.fixture
def services(folder: Path) -> Path:
    found = folder / "services"
    found.mkdir()
    service(found, "test.Cat", "exec cat")
    service(found, "test.Where", 'echo "$QREXEC_REMOTE_DOMAIN $QREXEC_SERVICE_FULL_NAME ${1-none}"; pwd')
    service(found, "test.Where+special", "echo special")
    service(found, "test.Fail", "echo trouble >&2; exit 7")
    service(found, "test.Hang", "sleep 1000 & echo $! $$; wait")
    service(found, "test.Stubborn", "trap 'touch $0.told' TERM; sleep 1000 & echo $! $$; wait; sleep 99")
    service(found, "test.Deaf", "exec 0<&-; sleep 0.3; echo done")
    service(found, "test.Leave", "sleep 1000 & echo $!")
    return found


@pytest.fixture
def broker(folder: Path) -> Iterator[PlayedBroker]:
    played = PlayedBroker(folder)
    yield played
    played.close()


@pytest.fixture
def daemon(folder: Path, services: Path, broker: PlayedBroker) -> Iterator[RunningDaemon]:
    with RunningDaemon(folder, services) as running:
        yield running


@pytest.fixture
def met(daemon: RunningDaemon, broker: PlayedBroker) -> PlayedBroker:
    """A broker that has met the service program."""
    broker.meet()
    daemon.until_listening()
    return broker


def served(broker: PlayedBroker, name: str, data: bytes = b"", argument: str = "") -> tuple[bytes, str, Ended]:
    """What a service writes and says to its standard error, and how it ends."""
    number = next(NUMBERS)
    broker.start(name, argument, number)
    port = broker.data(0)
    assert broker.hear(Ready) == Ready(number)
    errors = ""
    with port:
        # Some end before they have read anything.
        with contextlib.suppress(BrokenPipeError):
            port.sendall(data)
        broker.tell(End(number, len(data)))
        while not isinstance(message := broker.hear(ErrorText | Sent), Sent):  # type: ignore[arg-type]
            errors += message.text
        output = receive(port, message.size)
    return output, errors, replace(broker.hear(Ended), call=FIRST)


def test_the_service_program_says_hello_and_which_tools_it_is(daemon: RunningDaemon, broker: PlayedBroker) -> None:
    assert broker.meet() == Hello(tools="digest")


@pytest.mark.parametrize(
    ("name", "data", "argument", "output", "errors", "code"),
    [
        ("test.Cat", b"some bytes", "", b"some bytes", "", 0),
        ("test.Where", b"", "", b"work test.Where none\n%(home)s\n", "", 0),
        ("test.Where", b"", "a+b", b"work test.Where+a+b a+b\n%(home)s\n", "", 0),
        ("test.Where", b"", "special", b"special\n", "", 0),
        ("test.Where", b"", "../x", b"work test.Where+../x ../x\n%(home)s\n", "", 0),
        ("test.Fail", b"", "", b"", "trouble\n", 7),
        ("test.Deaf", bytes(1 << 20), "", b"done\n", "", 0),
    ],
    ids=["both ways", "who calls", "an argument", "its own for an argument", "a path", "exit code", "takes no input"],
)
def test_a_service_has_its_streams_and_knows_who_calls(
    met: PlayedBroker, name: str, data: bytes, argument: str, output: bytes, errors: str, code: int
) -> None:
    home = os.fsencode(Path("~").expanduser())
    expected = output.replace(b"%(home)s", home)
    assert served(met, name, data, argument) == (expected, errors, Ended(FIRST, code))


def test_more_than_all_buffers_goes_through_whole(met: PlayedBroker) -> None:
    data = os.urandom(8 << 20)
    met.start("test.Cat")
    with met.data(0) as port:
        met.hear(Ready)
        writer = threading.Thread(target=port.sendall, args=(data,))
        writer.start()
        assert receive(port, len(data)) == data
        writer.join(PATIENCE)
        met.tell(End(FIRST, len(data)))
        assert met.hear(Sent) == Sent(FIRST, len(data))
        assert met.hear(Ended) == Ended(FIRST, 0)
        assert port.recv(1) == b"", "the port is closed"


@pytest.mark.parametrize(
    ("name", "port", "user", "reason"),
    [
        ("test.Missing", 0, "", "there is no service test.Missing in this domain"),
        ("../test.Cat", 0, "", "is no name of a service"),
        (".hidden", 0, "", "is no name of a service"),
        ("test.Cat", 4, "", "there is no data port 4"),
        ("test.Cat", 0, "nobody-here", "there is no user nobody-here in this domain"),
    ],
)
def test_what_cannot_be_served_says_why(met: PlayedBroker, name: str, port: int, user: str, reason: str) -> None:
    met.start(name, port=port, user=user)
    ended = met.hear(Ended)
    assert ended.code == 125
    assert reason in ended.reason
    assert served(met, "test.Cat", b"x")[0] == b"x", "the next one is served"


def test_a_service_whose_child_stays_in_the_background_ends(met: PlayedBroker) -> None:
    output, _errors, ended = served(met, "test.Leave")
    assert ended.code == 0
    os.kill(int(output), signal.SIGKILL)


def hanging(
    broker: PlayedBroker, call: int = FIRST, number: int = 0, name: str = "test.Hang"
) -> tuple[socket.socket, list[int]]:
    """A service that hangs: its port, and the processes that are it."""
    broker.start(name, call=call, port=number)
    port = broker.data(number)
    broker.hear(Ready)
    return port, [int(word) for word in port.makefile("rb").readline().split()]


def test_a_cancelled_service_is_killed_with_all_that_it_started(met: PlayedBroker) -> None:
    port, pids = hanging(met)
    assert len(pids) == 2
    assert all(map(is_running, pids))
    met.tell(Cancel(FIRST))
    assert port.recv(1) == b"", "the port is closed at once"
    wait_until(lambda: not any(map(is_running, pids)), "its processes are gone")
    assert served(met, "test.Cat", b"x")[0] == b"x"


def test_a_service_ends_with_the_broker_and_the_next_one_is_met(daemon: RunningDaemon, met: PlayedBroker) -> None:
    port, pids = hanging(met)
    met.leave()
    wait_until(lambda: not any(map(is_running, pids)), "its processes are gone")
    assert port.recv(1) == b""
    met.meet()
    assert served(met, "test.Cat", b"x")[0] == b"x"


def test_a_service_whose_port_the_host_closes_ends(met: PlayedBroker) -> None:
    port, pids = hanging(met)
    port.close()
    assert met.hear(Ended) == Ended(FIRST, 125, "the host has closed the port for the data")
    wait_until(lambda: not any(map(is_running, pids)), "its processes are gone")


def test_a_service_is_killed_though_the_broker_goes_while_it_is_being_ended(met: PlayedBroker, services: Path) -> None:
    """A broker that dies closes all ports, one after the other."""
    port, pids = hanging(met, name="test.Stubborn")
    port.close()
    wait_until((services / "test.Stubborn.told").exists, "it was told to end")
    met.leave()
    wait_until(lambda: not any(map(is_running, pids)), "its processes are gone")
    met.meet()
    assert served(met, "test.Cat", b"x")[0] == b"x"


def test_a_service_program_that_was_killed_leaves_nothing_in_the_way_of_the_next(
    daemon: RunningDaemon, met: PlayedBroker
) -> None:
    port, pids = hanging(met)
    daemon.again()
    assert port.recv(1) == b""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    met.meet()
    assert served(met, "test.Cat", b"x")[0] == b"x"


def test_a_broker_that_begins_anew_is_answered_and_the_calls_of_before_are_gone(met: PlayedBroker) -> None:
    _port, pids = hanging(met)
    met.tell(Hello())
    assert met.hear(Hello) == Hello(tools="digest", begins=False)
    wait_until(lambda: not any(map(is_running, pids)), "its processes are gone")
    met.tell(Hello(begins=False))
    assert met.request
    assert is_silent(met.request), "an answer is not answered"


def test_only_so_many_services_run_at_once(daemon: RunningDaemon, met: PlayedBroker) -> None:
    ports = [hanging(met, FIRST + number, number % 4)[0] for number in range(8)]
    met.start("test.Hang", call=FIRST + 8)
    assert met.hear(Ended) == Ended(FIRST + 8, 125, "too many services run in this domain")
    assert len(daemon.children()) == 8
    for number in range(8):
        met.tell(Cancel(FIRST + number))
    wait_until(lambda: not daemon.children(), "all are gone")
    for port in ports:
        port.close()


@pytest.mark.parametrize(
    "line",
    [
        b"\n\n\n",
        b"nonsense\n",
        b"\xff\xfe\n",
        b"[" * 8000 + b"\n",
        b"x" * 100_000 + b"\n",
        b'{"type": "start"}\n',
        b'{"type": "start", "call": -1, "service": "x"}\n',
        b'{"type": "end", "call": 5, "size": 1}\n{"type": "cancel", "call": 5, "reason": ""}\n',
        b'{"type": "accepted", "call": 5, "port": 99, "target": "x"}\n',
        b'{"type": "call", "call": 5}\n',
    ],
    ids=range(10),
)
def test_what_the_host_must_not_say_disturbs_nobody(met: PlayedBroker, line: bytes) -> None:
    met.say(line * 20)
    assert served(met, "test.Cat", b"x")[0] == b"x"


def test_before_hello_nothing_is_heard(daemon: RunningDaemon, broker: PlayedBroker) -> None:
    broker.meet(says_hello=False)
    broker.start("test.Hang")
    broker.tell(Hello())
    broker.hear(Hello)
    assert not daemon.children()


# A service of ours that has the port itself: it sends the files that are named to it.
FETCH = "qubes_manager.FetchFiles"


def fetching(met: PlayedBroker, daemon: RunningDaemon, path: Path) -> tuple[socket.socket, int]:
    """A port from which nobody reads the big file that is sent there, and the process that sends it."""
    path.write_bytes(bytes(64 << 20))
    met.start(FETCH)
    port = met.data(0)
    met.hear(Ready)
    port.sendall(bytes(path))
    met.tell(End(FIRST, len(bytes(path))))
    wait_until(lambda: len(port.recv(1 << 16, socket.MSG_PEEK)) > 1000, "it sends")
    (pid,) = daemon.children()
    return port, pid


def open_sockets(pids: list[int]) -> int:
    links = [link for pid in pids for link in Path(f"/proc/{pid}/fd").iterdir()]
    return sum(str(link.readlink()).startswith("socket:") for link in links)


def test_a_service_that_moves_much_has_the_port_itself(
    daemon: RunningDaemon, met: PlayedBroker, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(data := os.urandom(3 << 20))
    met.start(FETCH)
    with met.data(0) as port:
        met.hear(Ready)
        # The port, and the way to the service program.
        wait_until(lambda: open_sockets(daemon.children()) == 2, "it has what it needs, and nothing else that is ours")
        asked = b"\0".join([bytes(tmp_path / "missing")] * 4000 + [bytes(file)])
        port.sendall(asked[:100])
        met.tell(End(FIRST, len(asked)))
        port.sendall(asked[100:])
        output = b""
        while data not in output:
            output += port.recv(1 << 18)
        errors = ""
        while not isinstance(message := met.hear(ErrorText | Sent), Sent):  # type: ignore[arg-type]
            errors += message.text
        output += receive(port, message.size - len(output))
        assert port.recv(1) == b"", "the port is closed"
    assert parse_file_message(output.partition(b"\n")[0]) == Offer(len(data), 1)
    assert "missing: No such file or directory" in errors
    assert met.hear(Ended) == Ended(FIRST, 1), "something is missing"
    assert not daemon.children()


def test_the_end_of_input_may_be_known_before_the_service_runs(met: PlayedBroker, tmp_path: Path) -> None:
    met.tell(Start(FIRST, FETCH, "", "work", "@default", 0), End(FIRST, 0))
    with met.data(0) as port:
        met.hear(Ready)
        size = met.hear(Sent).size
        assert b'"offer"' in receive(port, size)
    assert met.hear(Ended) == Ended(FIRST, 0)


def test_a_service_with_the_port_is_killed_when_its_call_is_cancelled(
    daemon: RunningDaemon, met: PlayedBroker, tmp_path: Path
) -> None:
    port, pid = fetching(met, daemon, tmp_path / "big")
    met.tell(Cancel(FIRST))
    wait_until(lambda: not is_running(pid), "it has gone")
    with port:
        while port.recv(1 << 20):
            pass
    assert served(met, "test.Cat", b"x")[0] == b"x"


def test_a_service_with_the_port_ends_with_the_broker(daemon: RunningDaemon, met: PlayedBroker, tmp_path: Path) -> None:
    port, pid = fetching(met, daemon, tmp_path / "big")
    met.leave()
    wait_until(lambda: not is_running(pid), "it has gone")
    port.close()
    met.meet()
    assert served(met, "test.Cat", b"x")[0] == b"x"


def test_a_service_with_the_port_lets_go_of_it_when_the_service_program_is_killed(
    daemon: RunningDaemon, met: PlayedBroker, tmp_path: Path
) -> None:
    port, pid = fetching(met, daemon, tmp_path / "big")
    daemon.again()
    with port:
        while port.recv(1 << 20):
            pass
    wait_until(lambda: not is_running(pid), "it has gone")
    met.meet()
    assert served(met, "test.Cat", b"x")[0] == b"x"


def test_a_service_with_the_port_that_is_killed_is_no_success(
    daemon: RunningDaemon, met: PlayedBroker, tmp_path: Path
) -> None:
    port, pid = fetching(met, daemon, tmp_path / "big")
    os.kill(pid, signal.SIGKILL)
    assert met.hear(Sent) == Sent(FIRST, 0), "less than came, which the broker takes for what it is"
    assert met.hear(Ended) == Ended(FIRST, 128 + signal.SIGKILL)
    port.close()


def test_error_text_is_bounded_and_slow(daemon: RunningDaemon, met: PlayedBroker, services: Path) -> None:
    service(services, "test.Shout", "yes '\N{GRINNING FACE}\N{GRINNING FACE}\N{GRINNING FACE}' | head -c 3000000 >&2")
    before = daemon.memory_kib()
    began = time.monotonic()
    _output, errors, ended = served(met, "test.Shout")
    assert ended.code == 0
    # Of three faces and the end of a line there are 13 bytes.
    assert len(errors) * 13 / 4 == pytest.approx(32 << 10, abs=20)
    assert time.monotonic() - began > 3
    assert daemon.memory_kib() < before + 4096


# Calls that programs of the guest make.


class Caller(threading.Thread):
    """Calls a service as a guest's command does, beside the test."""

    def __init__(self, daemon: RunningDaemon, name: str = "test.Far", argument: str = "") -> None:
        super().__init__(daemon=True)
        self._path = str(daemon.calls)
        self._what = (name, argument)
        self.conversation: Conversation | None = None
        self.error: Exception | None = None
        self.heard = list[str]()
        self.start()

    def run(self) -> None:
        try:
            self.conversation = call(*self._what, heard=self.heard.append, path=self._path)
        except (Refused, CallFailed) as error:
            self.error = error

    def got(self) -> Conversation:
        self.join(PATIENCE)
        assert self.conversation, self.error
        return self.conversation

    def failed(self) -> Exception:
        self.join(PATIENCE)
        assert self.error
        return self.error


def test_a_call_goes_to_the_host_and_its_bytes_past_the_service_program(
    daemon: RunningDaemon, met: PlayedBroker
) -> None:
    caller = Caller(daemon, argument="arg")
    request = met.hear(Call)
    assert (request.service, request.argument, request.target) == ("test.Far", "arg", "@default")
    met.tell(Accepted(request.call, 2, "vault"))
    with met.data(2) as port, caller.got() as conversation:
        assert met.hear(Ready) == Ready(request.call)
        assert conversation.target == "vault"
        conversation.write(b"question")
        conversation.finish()
        assert met.hear(Sent) == Sent(request.call, 8)
        assert receive(port, 8) == b"question"
        port.sendall(b"answer")
        met.tell(ErrorText(request.call, "hm\n"), End(request.call, 6), Ended(request.call, 3))
        assert conversation.read() == b"answer"
        assert conversation.read() == b""
        assert conversation.result() == Result(3)
        assert caller.heard == ["hm\n"]
        conversation.close()
        assert port.recv(1) == b"", "nobody else has the port open"


@pytest.mark.parametrize(("code", "kind"), [(126, Refused), (125, CallFailed)])
def test_what_the_host_refuses_is_told_to_the_caller(
    daemon: RunningDaemon, met: PlayedBroker, code: int, kind: type[Exception]
) -> None:
    caller = Caller(daemon)
    met.tell(Ended(met.hear(Call).call, code, "no"))
    error = caller.failed()
    assert isinstance(error, kind)
    assert str(error) == "no"


def test_without_a_broker_a_call_waits_for_one(daemon: RunningDaemon, broker: PlayedBroker) -> None:
    daemon.until_listening()
    caller = Caller(daemon)
    broker.meet()
    met = broker.hear(Call)
    broker.tell(Ended(met.call, 126, "no"))
    assert isinstance(caller.failed(), Refused)


def test_calls_end_with_the_broker(daemon: RunningDaemon, met: PlayedBroker) -> None:
    waiting, running = Caller(daemon), Caller(daemon, "test.Other")
    calls = {request.service: request.call for request in (met.hear(Call), met.hear(Call))}
    met.tell(Accepted(calls["test.Other"], 1, "vault"))
    port = met.data(1)
    conversation = running.got()
    met.hear(Ready)
    met.leave()
    assert "the connection to the host was lost" in str(waiting.failed())
    assert conversation.result() == Result(125, "the connection to the host was lost")
    conversation.close()
    assert port.recv(1) == b""


def test_a_caller_that_dies_cancels_its_call(daemon: RunningDaemon, met: PlayedBroker) -> None:
    caller = Caller(daemon)
    request = met.hear(Call)
    met.tell(Accepted(request.call, 1, "vault"))
    port = met.data(1)
    conversation = caller.got()
    met.hear(Ready)
    conversation.close()
    assert met.hear(Cancel).call == request.call
    assert port.recv(1) == b""


def test_a_caller_that_dies_while_it_is_asked_about_cancels_its_call(daemon: RunningDaemon, met: PlayedBroker) -> None:
    client = connected(daemon)
    client.sendall(Call(5, "test.Far").to_json().encode() + b"\n")
    request = met.hear(Call)
    client.close()
    assert met.hear(Cancel).call == request.call


def connected(daemon: RunningDaemon) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE)
    client.connect(str(daemon.calls))
    return client


HOSTILE_CLIENTS = [
    b"\n",
    b"nonsense\n",
    b"x" * 200_000,
    b'{"type": "hello", "version": 1, "tools": "", "begins": true}\n',
    b'{"type": "sent", "call": 0, "size": 5}\n',
    b'{"type": "call", "call": 0, "service": "a/b"}\n',
]


@pytest.mark.parametrize("said", HOSTILE_CLIENTS, ids=range(len(HOSTILE_CLIENTS)))
def test_a_client_that_says_what_it_must_not_is_let_go_and_others_are_served(
    daemon: RunningDaemon, met: PlayedBroker, said: bytes
) -> None:
    with connected(daemon) as client:
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        client.recv(1 << 16)
    caller = Caller(daemon)
    met.tell(Ended(met.hear(Call).call, 126, "no"))
    assert str(caller.failed()) == "no"


def test_a_client_that_reads_nothing_is_given_up(daemon: RunningDaemon, met: PlayedBroker) -> None:
    before = daemon.memory_kib()
    with connected(daemon) as client:
        client.sendall(Call(0, "test.Far").to_json().encode() + b"\n")
        request = met.hear(Call)
        text = ErrorText(request.call, "x" * 4000)
        for _ in range(200):
            met.tell(text)
        assert met.hear(Cancel).call == request.call
    assert daemon.memory_kib() < before + 4096


def test_only_so_many_calls_wait_and_run(daemon: RunningDaemon, met: PlayedBroker) -> None:
    clients = [connected(daemon) for _ in range(8)]
    for client in clients:
        client.sendall(Call(0, "test.Far").to_json().encode() + b"\n")
        met.hear(Call)
    assert "8 calls of this domain wait or run already" in str(Caller(daemon).failed())
    for client in clients:
        client.close()
    for _ in clients:
        met.hear(Cancel)
    caller = Caller(daemon)
    met.tell(Ended(met.hear(Call).call, 126, "no"))
    assert str(caller.failed()) == "no"


def test_requests_keep_to_their_rate(daemon: RunningDaemon, met: PlayedBroker) -> None:
    """A guest's loop of calls cannot flood the host."""
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            with connected(daemon) as client:
                client.sendall(Call(0, "test.Far").to_json().encode() + b"\n")
                client.recv(1000)

    thread = threading.Thread(target=flood)
    thread.start()
    end, heard = time.monotonic() + 3, 0
    try:
        while time.monotonic() < end:
            line = met.hear_line()
            assert line
            message: FromGuest = parse_from_guest(line)
            heard += 1
            if isinstance(message, Call):
                met.tell(Ended(message.call, 126, "no"))
    finally:
        stop.set()
        thread.join(PATIENCE)
    # Those that may come at once after a rest, and then 20 a second.
    assert heard <= 40 + 20 * 3.5


def test_nothing_is_left_open_by_what_has_ended(daemon: RunningDaemon, met: PlayedBroker) -> None:
    served(met, "test.Cat", b"x")
    before = daemon.open_files()
    for _ in range(5):
        served(met, "test.Cat", b"x")
        met.start("test.Missing")
        met.hear(Ended)
        caller = Caller(daemon)
        request = met.hear(Call)
        met.tell(Accepted(request.call, 1, "vault"))
        port = met.data(1)
        conversation = caller.got()
        met.hear(Ready)
        conversation.close()
        met.hear(Cancel)
        port.close()
    wait_until(lambda: daemon.open_files() == before, "all descriptors are closed")
    assert not daemon.children()


def test_it_ends_when_it_is_told_to_and_what_it_runs_with_it(daemon: RunningDaemon, met: PlayedBroker) -> None:
    _port, pids = hanging(met)
    daemon.process.terminate()
    assert daemon.process.wait(PATIENCE) == 0
    # What was killed takes its time on a busy machine.
    wait_until(lambda: not any(map(is_running, pids)), "its processes are gone")
