"""What an agent may answer: nothing of it is believed, and none of it ends in more than one plain line."""

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import libvirt
import libvirt_qemu
import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.guests.guest_agent import Bounds, GuestAgent
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import GuestError
from tests.waiting import PATIENCE, until

KEY = DomainKey("test:///default", "11111111-1111-4111-8111-111111111111")
CHUNK = 64 << 10
NO_AGENT = "no guest agent answers in “work”: is qemu-guest-agent installed there?"


class Agent:
    """Stands for the agent of a guest. A text among *answers* is sent as it is, an error is libvirt's."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {"guest-exec": {"pid": 7}, "guest-file-close": {}, "guest-file-open": 1}
        self.requests: list[dict[str, Any]] = []

    def __call__(self, _domain: object, text: str, _timeout: int, _flags: int) -> str:
        request = json.loads(text)
        self.requests.append(request)
        answer = self.answers[request["execute"]]
        if callable(answer):
            answer = answer(request.get("arguments", {}))
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, str) else json.dumps({"return": answer})

    def commands(self) -> list[list[str]]:
        """The programs that it was told to run, with their arguments."""
        return [[r["arguments"]["path"], *r["arguments"]["arg"]] for r in self.requests if r["execute"] == "guest-exec"]


class Held:
    """An answer of the agent's that does not come before who waits for it has been cancelled."""

    def __init__(self, answer: object) -> None:
        self._answer = answer
        self._is_wanted, self._goes_on = threading.Event(), threading.Event()

    def __call__(self, _arguments: object) -> object:
        self._is_wanted.set()
        assert self._goes_on.wait(PATIENCE)
        return self._answer

    async def cancel(self, running: "asyncio.Task[int]") -> None:
        """Cancel what waits for the answer, and let it come."""
        await until(self._is_wanted.is_set)
        running.cancel()
        await asyncio.sleep(0)
        self._goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await running


class Handle:
    """Stands for libvirt's handle of a running domain."""

    def agentSetResponseTimeout(self, _seconds: int, _flags: int) -> int:
        return 0


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Agent:
    agent = Agent()
    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", agent)
    return agent


@pytest.fixture
def guest(driver: LibvirtConnection, hostile: Agent) -> GuestAgent:
    driver.handles[KEY.uuid] = Handle()
    return GuestAgent(driver, Domain(KEY, "work", DomainState.RUNNING))


def failure(code: int, text: str) -> libvirt.libvirtError:
    error = libvirt.libvirtError(text)
    error.err = (code, 0, text, 0, "", "", "", 0, 0)
    return error


def packed(data: bytes) -> dict[str, str]:
    return {"buf-b64": base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "[]",
        "null",
        '"text"',
        "{",
        '{"error": {"desc": "no"}}',
        '{"return": ' + "9" * 5000 + "}",
        '{"return": ' + "[" * 80_000,
        "hello",
    ],
    ids=["empty", "list", "null", "text", "cut short", "no return", "endless number", "endless depth", "no JSON"],
)
async def test_an_answer_that_is_none_is_nonsense(guest: GuestAgent, hostile: Agent, answer: str) -> None:
    hostile.answers["guest-ping"] = answer
    with pytest.raises(GuestError, match=r"^the agent of “work” answers nonsense$"):
        await guest.command("guest-ping")


@pytest.mark.parametrize("answer", [None, [], 7, {}, {"pid": "7"}, {"pid": True}, {"pid": 1.5}, {"pid": None}])
async def test_a_process_without_a_number_is_nonsense(guest: GuestAgent, hostile: Agent, answer: object) -> None:
    hostile.answers["guest-exec"] = answer
    with pytest.raises(GuestError, match="answers nonsense"):
        await guest.run("true")


@pytest.mark.parametrize(
    "answer",
    [None, [], {"buf-b64": 7}, {"buf-b64": "no*base64"}, {"buf-b64": "é"}, packed(bytes(CHUNK + 1))],
    ids=["null", "list", "number", "no base64", "no ASCII", "more than was asked for"],
)
async def test_bytes_that_are_none_or_too_many_are_nonsense(guest: GuestAgent, hostile: Agent, answer: object) -> None:
    hostile.answers["guest-file-read"] = answer
    with pytest.raises(GuestError, match="answers nonsense"):
        await guest.read_small_file("/etc/hostname")
    # Its file is closed all the same.
    assert hostile.requests[-1]["execute"] == "guest-file-close"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({"exited": True, "exitcode": 0}, 0),
        ({"exited": True, "exitcode": 256 + 3}, 3),
        ({"exited": True, "exitcode": -1}, 255),
        ({"exited": True, "signal": 9}, 137),
    ],
)
async def test_exit_codes_are_those_of_a_shell(
    guest: GuestAgent, hostile: Agent, status: Mapping[str, object], code: int
) -> None:
    hostile.answers["guest-exec-status"] = status
    assert await guest.run("true") == code


async def test_an_exit_without_a_code_is_nonsense_and_the_guest_is_tidied(guest: GuestAgent, hostile: Agent) -> None:
    hostile.answers["guest-exec-status"] = {"exited": True, "exitcode": "0"}
    with pytest.raises(GuestError, match="answers nonsense"):
        await guest.run("true")
    first, last = hostile.commands()
    folder = first[4]
    assert folder.startswith("/run/qubes-manager-")
    # Whether it has ended is not known, so its group is ended too.
    assert (last[0], last[-2:]) == ("/bin/sh", ["7", folder])


def growing(contents: Mapping[str, bytes]) -> Callable[[str], Callable[[Mapping[str, Any]], object]]:
    """Answers of an agent whose guest has these files, in chunks of three bytes."""
    handles = dict(enumerate(sorted(contents), 1))
    left = dict(contents)

    def answer(command: str) -> Callable[[Mapping[str, Any]], object]:
        def open_file(arguments: Mapping[str, Any]) -> object:
            return next(n for n, name in handles.items() if arguments["path"].endswith(name))

        def read_file(arguments: Mapping[str, Any]) -> object:
            name = handles[arguments["handle"]]
            data, left[name] = left[name][:3], left[name][3:]
            return packed(data)

        return open_file if command == "open" else read_file

    return answer


async def test_an_answer_without_end_is_not_even_parsed(guest: GuestAgent, hostile: Agent) -> None:
    hostile.answers["guest-ping"] = json.dumps({"return": ["x"] * 40_000})
    with pytest.raises(GuestError, match=r"^the agent of “work” answers without end$"):
        await guest.command("guest-ping")


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        (Bounds(3 * CHUNK, 60), f"what was run in “work” says more than {3 * CHUNK} bytes"),
        (Bounds(1 << 40, 0.1), "what was run in “work” does not end"),
    ],
    ids=["bytes", "seconds"],
)
@pytest.mark.parametrize("stream", ["out", "err"])
async def test_streams_without_end_are_left_and_what_makes_them_is_ended(
    guest: GuestAgent, hostile: Agent, bounds: Bounds, reason: str, stream: str
) -> None:
    hostile.answers["guest-file-open"] = lambda arguments: 1 if arguments["path"].endswith(stream) else 2
    hostile.answers["guest-file-read"] = lambda arguments: packed(bytes(CHUNK)) if arguments["handle"] == 1 else {}
    hostile.answers["guest-exec-status"] = {"exited": False}
    got = bytearray()
    with pytest.raises(GuestError, match=f"^{reason}$"):
        await guest.run("yes", out=got.extend, err=got.extend, bounds=bounds)
    assert len(got) <= bounds.size
    assert (hostile.commands()[-1][0], hostile.commands()[-1][-2]) == ("/bin/sh", "7")


async def test_what_is_just_being_started_when_nobody_waits_any_more_is_ended_too(
    guest: GuestAgent, hostile: Agent
) -> None:
    hostile.answers["guest-exec"] = held = Held({"pid": 7})
    await held.cancel(asyncio.create_task(guest.run("sleep 1000")))
    assert (hostile.commands()[-1][0], hostile.commands()[-1][-2]) == ("/bin/sh", "7")


async def test_what_nobody_waits_for_any_more_is_ended_in_the_guest(guest: GuestAgent, hostile: Agent) -> None:
    hostile.answers["guest-exec-status"] = {"exited": False}
    running = asyncio.create_task(guest.run("sleep 1000"))
    await until(lambda: hostile.requests and hostile.requests[-1]["execute"] == "guest-exec-status")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (hostile.commands()[-1][0], hostile.commands()[-1][-2]) == ("/bin/sh", "7")


@pytest.mark.parametrize(("asked_last", "answer"), [("guest-file-open", 1), ("guest-file-read", {"buf-b64": ""})])
async def test_files_of_what_nobody_waits_for_any_more_are_closed_in_the_guest(
    guest: GuestAgent, hostile: Agent, asked_last: str, answer: object
) -> None:
    """An agent has so many, and answers nothing any more when they are used up."""
    held = Held(answer)
    hostile.answers |= {"guest-exec-status": {"exited": False}, "guest-file-read": packed(b""), asked_last: held}
    await held.cancel(asyncio.create_task(guest.run("sleep 1000", out=lambda _data: None)))
    asked = [request["execute"] for request in hostile.requests]
    assert asked.count("guest-file-close") == asked.count("guest-file-open") > 0


async def test_what_the_command_says_goes_where_it_belongs(guest: GuestAgent, hostile: Agent) -> None:
    files = growing({"/out": b"to be shown", "/err": b"trouble"})
    hostile.answers |= {"guest-file-open": files("open"), "guest-file-read": files("read")}
    hostile.answers["guest-exec-status"] = {"exited": True, "exitcode": 0}
    out: list[bytes] = []
    err: list[bytes] = []
    assert await guest.run("true", out=out.append, err=err.append) == 0
    assert (b"".join(out), b"".join(err)) == (b"to be shown", b"trouble")


async def test_input_is_sent_until_all_is_taken(guest: GuestAgent, hostile: Agent) -> None:
    taken = bytearray()

    def write(arguments: Mapping[str, Any]) -> object:
        piece = base64.b64decode(arguments["buf-b64"])[:40_000]
        taken.extend(piece)
        return {"count": len(piece)}

    hostile.answers |= {"guest-file-write": write, "guest-exec-status": {"exited": True, "exitcode": 0}}
    data = bytes(range(256)) * 600
    await guest.run("cat", data=data)
    assert bytes(taken) == data


@pytest.mark.parametrize("count", [0, -1])
async def test_an_agent_that_takes_no_input_does_not_hold_us(guest: GuestAgent, hostile: Agent, count: int) -> None:
    hostile.answers |= {
        "guest-file-write": {"count": count},
        "guest-exec-status": {"exited": True, "exitcode": 0},
    }
    with pytest.raises(GuestError, match="takes no more input"):
        await guest.run("cat", data=b"x")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, NO_AGENT),
        (
            libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
            "no guest agent answers in “work”: is qemu-guest-agent installed there?",
        ),
        (libvirt.VIR_ERR_OPERATION_INVALID, "“work” is not running"),
        (libvirt.VIR_ERR_INTERNAL_ERROR, "the agent of “work” refused: red and more"),
    ],
)
async def test_what_libvirt_says_of_it_is_one_safe_line(
    guest: GuestAgent, hostile: Agent, code: int, sentence: str
) -> None:
    hostile.answers["guest-ping"] = failure(code, "\x1b[31mred\x1b[0m\nand more")
    with pytest.raises(GuestError) as caught:
        await guest.command("guest-ping")
    assert str(caught.value) == sentence
    assert "\x1b" not in caught.value.details


async def test_an_agent_that_comes_late_is_waited_for_and_one_that_never_comes_is_said(
    guest: GuestAgent, hostile: Agent
) -> None:
    late = iter([failure(libvirt.VIR_ERR_AGENT_UNRESPONSIVE, "not yet"), "{", {}])
    hostile.answers["guest-ping"] = lambda _arguments: next(late)
    await guest.wait(10)
    hostile.answers["guest-ping"] = failure(libvirt.VIR_ERR_AGENT_UNRESPONSIVE, "not yet")
    with pytest.raises(GuestError, match="no guest agent answers in “work” after 0 s"):
        await guest.wait(0.1)


@pytest.mark.parametrize("busy", ["guest-exec", "guest-exec-status", "guest-file-read"])
async def test_a_guest_that_is_too_busy_for_a_sign_of_life_is_waited_for_while_a_command_runs(
    guest: GuestAgent, hostile: Agent, busy: str
) -> None:
    files = growing({"/out": b"to be shown"})
    hostile.answers |= {"guest-file-open": files("open"), "guest-file-read": files("read"), "guest-ping": {}}
    hostile.answers["guest-exec-status"] = {"exited": True, "exitcode": 0}
    usual, asked = hostile.answers[busy], 0

    def answer(arguments: Mapping[str, Any]) -> object:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise failure(libvirt.VIR_ERR_AGENT_UNRESPONSIVE, "Guest agent not available for now")
        return usual(arguments) if callable(usual) else usual

    hostile.answers[busy] = answer
    out: list[bytes] = []
    assert await guest.run("true", out=out.append) == 0
    assert b"".join(out) == b"to be shown"


async def test_a_pipe_or_file_that_is_not_there_is_no_error(guest: GuestAgent, hostile: Agent) -> None:
    hostile.answers["guest-file-open"] = failure(libvirt.VIR_ERR_INTERNAL_ERROR, "No such file or directory")
    assert await guest.write_pipe("/run/pipe", "x") is False
    assert await guest.read_small_file("/etc/hostname") is None
