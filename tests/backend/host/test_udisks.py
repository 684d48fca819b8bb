"""Asking udisks for a device, by a bus of our own: what it answers, and what becomes of it.

The names of the errors are those of udisks 2.9 (udiskserror.c); the real one is asked in
tests/integration/test_devices_unprivileged.py.
"""

import asyncio
import errno
import gc
import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from dbus_fast import Message, MessageFlag, MessageType
from dbus_fast.aio import MessageBus

from qubes_manager.backend.host import udisks
from qubes_manager.backend.host.udisks import open_by_udisks
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused, TimedOut
from tests.ending import end_program
from tests.waiting import soon, wait_until

UDISKS = "org.freedesktop.UDisks2"
OBJECT = "/org/freedesktop/UDisks2/block_devices/sdz"
FLAGS = os.O_RDWR | os.O_EXCL | os.O_CLOEXEC
_CONFIG = """<busconfig><type>system</type><auth>EXTERNAL</auth><listen>unix:path=%s</listen>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/></policy>
</busconfig>
"""
Answers = Callable[[Message], Message | None]


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bus that is the system's for this process."""
    place, config = tmp_path / "bus", tmp_path / "bus.conf"
    config.write_text(_CONFIG % place)
    daemon = subprocess.Popen(["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--nosyslog"])
    wait_until(lambda: listens(place), "the bus listens")
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={place}")
    yield f"unix:path={place}"
    end_program(daemon)
    # What was left of connections is not to end while pytest reads a source: Python 3.11's parser stumbles over that.
    gc.collect()


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


class Udisks:
    """Answers as a test says; notes what it is asked."""

    def __init__(self) -> None:
        self.calls: list[Message] = []
        self.objects = [OBJECT]
        self.opened: Answers = lambda call: None

    def answer(self, call: Message) -> Message | None:
        if call.message_type is not MessageType.METHOD_CALL or not (call.interface or "").startswith(UDISKS):
            return None
        self.calls.append(call)
        if call.member == "ResolveDevice":
            return Message.new_method_return(call, "ao", [self.objects])
        return self.opened(call)

    def fails(self, name: str, text: str) -> None:
        """Let opening fail."""
        self.opened = lambda call: Message.new_error(call, name, text)


@pytest.fixture
async def service(bus: str) -> AsyncIterator[Udisks]:
    fake, connection = Udisks(), await MessageBus(bus_address=bus, negotiate_unix_fd=True).connect()
    connection.add_message_handler(fake.answer)
    await connection.request_name(UDISKS)
    yield fake
    connection.disconnect()


async def opened(path: str = "/dev/sdz", *, read_only: bool = False, patience: float = 20.0) -> int:
    async with soon():
        return await open_by_udisks(path, FLAGS, patience, read_only=read_only)


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


async def test_the_descriptor_that_it_gives_is_the_device(service: Udisks, tmp_path: Path) -> None:
    (tmp_path / "disk").write_text("of the stick")
    given = os.open(tmp_path / "disk", os.O_RDWR)
    service.opened = lambda call: Message.new_method_return(call, "h", [0], [given])
    file = await opened()
    os.close(given)
    assert os.pread(file, 100, 0) == b"of the stick"
    assert not os.get_inheritable(file)
    os.close(file)
    resolve, opening = service.calls
    assert (resolve.path, resolve.body[0]["path"].value) == (f"/{UDISKS.replace('.', '/')}/Manager", "/dev/sdz")
    assert (opening.path, opening.member) == (OBJECT, "OpenDevice")
    # What udisks refuses among the flags is left out; that nobody else may have it is not.
    assert (opening.body[0], opening.body[1]["flags"].value) == ("rw", os.O_EXCL)
    assert all(MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION in call.flags for call in service.calls)


async def test_what_is_only_read_is_asked_for_so(service: Udisks) -> None:
    service.opened = lambda call: Message.new_method_return(call, "h", [0], [0])
    os.close(await opened(read_only=True))
    assert service.calls[1].body[0] == "r"


async def test_nothing_stays_open(service: Udisks, tmp_path: Path) -> None:
    (tmp_path / "disk").touch()
    given = [os.open(tmp_path / "disk", os.O_RDONLY) for _ in range(3)]
    service.opened = lambda call: Message.new_method_return(call, "hhh", [0, 1, 2], given)
    os.close(await opened())
    await asyncio.sleep(0.05)
    before = descriptors()
    os.close(await opened())
    service.fails(f"{UDISKS}.Error.NotAuthorized", "no")
    with pytest.raises(Refused):
        await opened()
    await asyncio.sleep(0.05)
    assert len(descriptors()) == len(before)
    for file in given:
        os.close(file)


def error(name: str) -> str:
    return f"{UDISKS}.Error.{name}"


def failed(number: int) -> str:
    """What udisks says where open(2) fails (handle_open_device in udiskslinuxblock.c)."""
    return f"Error opening /dev/sdz: {os.strerror(number)}"


@pytest.mark.parametrize(
    ("name", "text", "kind", "reason"),
    [
        (error("NotAuthorized"), "Not authorized to perform operation", Refused, "this machine's rules do not let you"),
        (
            error("NotAuthorizedCanObtain"),
            "Not authorized to perform operation",
            Refused,
            "a password is wanted, and nothing here asks for it: start your desktop's polkit agent",
        ),
        (
            error("NotAuthorizedDismissed"),
            "The authentication dialog was dismissed",
            Refused,
            "/dev/sdz was not opened: the question for the password was closed",
        ),
        (error("Failed"), failed(errno.EBUSY), Refused, "dom0 uses /dev/sdz: unmount it there, or close what has it"),
        (error("Failed"), failed(errno.EROFS), Refused, "/dev/sdz can only be read: attach it read-only"),
        (error("Failed"), failed(errno.ENOMEDIUM), Refused, "there is nothing in /dev/sdz: put a disc or card in"),
        (error("Failed"), "the drive is on fire", QubesManagerError, "/dev/sdz cannot be opened: the drive is on fire"),
        ("org.freedesktop.DBus.Error.NoReply", "died", QubesManagerError, "/dev/sdz cannot be opened: died"),
        ("org.freedesktop.DBus.Error.ServiceUnknown", "x", Refused, "udisks is not installed, which opens devices for"),
    ],
)
async def test_what_it_refuses_is_said_with_what_to_do(
    service: Udisks, name: str, text: str, kind: type[QubesManagerError], reason: str
) -> None:
    service.fails(name, text)
    with pytest.raises(kind, match=re.escape(reason)) as caught:
        await opened()
    assert type(caught.value) is kind


async def test_hostile_words_of_an_error_are_one_harmless_line(service: Udisks) -> None:
    service.fails(error("Failed"), "\x1b[31mline\nline\u202e" + "x" * 100_000)
    with pytest.raises(QubesManagerError) as caught:
        await opened()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


async def test_a_device_that_it_does_not_know_is_not_found(service: Udisks) -> None:
    service.objects = []
    with pytest.raises(NotFound, match="udisks knows no block device /dev/sdz: it was taken out, or is hidden from"):
        await opened()


async def test_a_question_that_nobody_answers_ends(service: Udisks) -> None:
    with pytest.raises(TimedOut, match="udisks did not answer within 0 s"):
        # A handler that returns True has taken the call, and may answer when it likes.
        service.opened = lambda call: True  # type: ignore[assignment,return-value]
        await opened(patience=0.2)


async def test_who_stops_waiting_leaves_no_connection(service: Udisks) -> None:
    service.opened = lambda call: True  # type: ignore[assignment,return-value]
    before = descriptors()
    asking = asyncio.create_task(opened())
    while len(service.calls) < 2:
        await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0.05)
    assert len(descriptors()) == len(before)


async def test_without_udisks_it_is_said_what_to_install(bus: str) -> None:
    try:
        await opened()
    except QubesManagerError as error:
        assert "udisks is not installed, which opens devices for ordinary users: install udisks2" in str(error)
    else:
        pytest.fail("nothing was said")


async def test_without_a_bus_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    with pytest.raises(Refused, match=r"the system's message bus \(D-Bus\) does not answer"):
        await opened()


async def test_a_bus_that_hangs_does_not_hang_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udisks, "_PATIENCE", 0.3)
    server = await asyncio.start_unix_server(lambda _reader, _writer: asyncio.sleep(600), tmp_path / "mute")
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/mute")
    with pytest.raises(Refused, match="does not answer"):
        await opened()
    server.close()


async def test_a_bus_that_lets_nobody_in_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"REJECTED\r\n")
        await writer.drain()
        await asyncio.sleep(5)

    server = await asyncio.start_unix_server(refuse, tmp_path / "shut")
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/shut")
    with pytest.raises(QubesManagerError):
        await opened()
    server.close()


async def test_a_bus_that_dies_meanwhile_is_said(
    service: Udisks, bus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_call: Message) -> None:
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if f"--config-file={tmp_path}/bus.conf" in line.read_text():
                    os.kill(int(line.parent.name), 9)
            except (FileNotFoundError, ProcessLookupError):
                continue

    service.opened = die
    with pytest.raises(QubesManagerError, match="the system's message bus hung up"):
        await opened(patience=20.0)


async def test_an_answer_without_a_descriptor_is_an_error_of_ours(service: Udisks) -> None:
    service.opened = lambda call: Message.new_method_return(call, "h", [0], [])
    found: Exception | None = None
    try:
        await opened()
    except Exception as error:
        found = error.with_traceback(None)
    assert isinstance(found, QubesManagerError)
