"""The broker as the user's other programs talk to it."""

import asyncio
import sys
import typing

import pytest

from qubes_manager.cli.broker import main
from qubes_manager.core.crossing.broker_messages import (
    CancelTransfer,
    News,
    OfferScreen,
    Request,
    TransferPhase,
    TransferStatus,
    parse_reply,
)
from qubes_manager.core.crossing.file_requests import AwaitCopy
from qubes_manager.core.crossing.session_messages import RevokeGrant, SessionRules, Unblock
from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.service_messages import Failed
from qubes_manager.services.assembly import Services
from qubes_manager.services.broker import service
from qubes_manager.services.broker_assembly import BrokerParts
from qubes_manager.services.crossing.address import socket_path
from qubes_manager.services.crossing.link import BrokerLink
from qubes_manager.services.crossing.links import BrokerLinks
from qubes_manager.services.gui.brokers import follow_brokers
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.programs.program import Program
from tests.services.broker.conftest import URI, new_broker, until_it_listens
from tests.waiting import soon, until

OTHER = "test:///other"


async def test_one_serves_and_ends_by_itself_when_nobody_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with soon():
        assert await new_broker(0.1).run() is True
    running = new_broker()
    serving = asyncio.create_task(running.run())
    await until_it_listens()
    assert await new_broker().run() is False
    monkeypatch.setattr(running._serving, "_grace", 0.1)
    running.end_when_idle()
    async with soon():
        assert await serving is True
    assert not socket_path(URI).exists()


async def test_who_follows_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    running = new_broker()
    serving = asyncio.create_task(running.run())
    await until_it_listens()
    following = asyncio.create_task(BrokerLink(URI).follow())
    await until(lambda: running._serving._clients)
    monkeypatch.setattr(running._serving, "_grace", 0.1)
    running.end_when_idle()
    await asyncio.sleep(0.3)
    assert not serving.done()
    following.cancel()
    async with soon():
        assert await serving is True


@pytest.mark.parametrize(
    ("uri", "begun"),
    [("test:///default", 0), ("qemu:///system", 2), ("qemu+ssh://host/session", 2), ("xen:///", 0)],
)
async def test_none_is_started_for_domains_that_cannot_have_the_ports(
    monkeypatch: pytest.MonkeyPatch, uri: str, begun: int
) -> None:
    spawned: list[Program] = []
    monkeypatch.setattr(Program, "_spawn", lambda program: spawned.append(program))
    await BrokerLink(uri).start()
    store, wanted = DomainStore(), list[str]()
    links = BrokerLinks()
    monkeypatch.setattr(links, "want", wanted.append)
    following = asyncio.create_task(follow_brokers(links, store))
    await asyncio.sleep(0)
    work = Domain(DomainKey(uri, "1"), "work", DomainState.RUNNING, 1, config=DomainConfig(crossing_ports=True))
    store.put([work])
    store.flush()
    assert len(spawned) + len(wanted) == begun
    following.cancel()


async def test_a_part_that_fails_again_and_again_is_tried_less_and_less(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = list[float]()

    async def sleep(pause: float) -> None:
        pauses.append(pause)
        if len(pauses) == 9:
            raise asyncio.CancelledError

    class Failing:
        is_idle = True

        async def run(self) -> None:
            raise Refused("the host cannot be used")

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await service._keep_working(Failing())
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize("error", [Refused("the folder cannot be used"), OSError(28, "No space left on device")])
async def test_a_part_that_failed_works_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_PAUSE", 0.05)
    broker, worked = new_broker(), asyncio.Event()

    class Failing:
        is_idle = True
        has_failed = False

        async def run(self) -> None:
            if not self.has_failed:
                self.has_failed = True
                raise error
            worked.set()
            await asyncio.Event().wait()

    broker.add(Failing())
    serving = asyncio.create_task(broker.run())
    async with soon():
        await worked.wait()
        broker.stop()
        await serving


def test_every_kind_of_request_has_somebody_who_answers_it() -> None:
    assert BrokerParts(Services.connecting(watch=False), URI).requests.kinds == set(typing.get_args(Request))


async def test_who_follows_hears_of_transfers_from_their_begin_to_their_end(broker: BrokerParts) -> None:
    first = broker.transfers.begin(
        source=("work", "u"), target=("vault", "v"), service="s", sentence="a.txt", total=10, cancel=lambda: None
    )
    link, heard = BrokerLink(URI), list[News]()
    link.heard.connect(heard.append)
    following = asyncio.create_task(link.follow())
    await until(lambda: len(heard) == 1)
    first.moved(5)
    first.done()
    await until(lambda: len(heard) == 2)
    assert heard == [
        TransferStatus(1, "work", "vault", "u", "v", "s", "a.txt", TransferPhase.MOVING, "", 0, 10, 0),
        first.status,
    ]
    assert (first.status.phase, first.status.moved) == (TransferPhase.DONE, 5)
    assert not link.transfers
    following.cancel()


async def test_a_transfer_is_cancelled_by_whoever_asks_for_it(broker: BrokerParts) -> None:
    cancelled = asyncio.Event()
    running = broker.transfers.begin(
        source=("work", ""), target=("dom0", ""), service="s", sentence="a.txt", cancel=cancelled.set
    )
    await BrokerLink(URI).do(CancelTransfer(running.status.transfer))
    assert cancelled.is_set()
    running.failed("stopped")
    with pytest.raises(QubesManagerError, match="that transfer is over"):
        await BrokerLink(URI).do(CancelTransfer(running.status.transfer))


async def test_what_was_said_for_the_session_is_heard_and_taken_back(broker: BrokerParts) -> None:
    link = BrokerLink(URI)
    following = asyncio.create_task(link.follow())
    # The test driver's own domain, once it has been read.
    uuid = "6695eb01-f6a4-8304-79aa-97f2502e193f"
    await until(lambda: broker.decisions._store.get(DomainKey(URI, uuid)))
    broker.session.block(uuid, "test")
    await until(lambda: link.session == SessionRules((), ("test",)))

    await BrokerLink(URI).do(Unblock("test"))
    await until(lambda: link.session == SessionRules())
    for request in (Unblock("test"), RevokeGrant("test", "s", "", "work")):
        with pytest.raises(QubesManagerError, match=r"not blocked|no such permission"):
            await BrokerLink(URI).do(request)
    following.cancel()


async def test_the_screen_of_who_came_last_and_is_still_there_counts(
    broker: BrokerParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    tasks = []
    for display in (":5", ":6"):
        monkeypatch.setenv("DISPLAY", display)
        tasks.append(asyncio.create_task(BrokerLink(URI).follow()))
        await until(lambda display=display: broker.screens.current == OfferScreen(display))  # type: ignore[misc]
    tasks[1].cancel()
    await until(lambda: broker.screens.current == OfferScreen(":5"))
    tasks[0].cancel()
    await until(lambda: broker.screens.current is None)


async def test_a_screen_whose_program_has_gone_while_it_waited_for_a_copy_counts_no_more(broker: BrokerParts) -> None:
    broker.running_copies._copies[7] = asyncio.get_running_loop().create_future()  # type: ignore[assignment]
    _reader, writer = await asyncio.open_unix_connection(socket_path(URI))
    writer.writelines(message.to_json().encode() + b"\n" for message in (OfferScreen(":99"), AwaitCopy(7)))
    await until(lambda: broker.screens.current == OfferScreen(":99"))
    writer.close()
    await until(lambda: broker.screens.current is None)


async def test_one_of_another_version_says_how_it_is_ended_and_is(
    broker: BrokerParts, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = await asyncio.open_unix_connection(socket_path(URI))
    writer.write(b'{"type": "invented later"}\n')
    answer = parse_reply(await reader.readline())
    assert isinstance(answer, Failed)
    assert "different versions" in answer.reason
    assert f"qubes-manager broker --connect {URI} --stop" in answer.reason
    writer.close()

    running = await asyncio.create_subprocess_exec(sys.executable, "-m", "qubes_manager", "broker", "-c", OTHER)
    await until(lambda: socket_path(OTHER).exists())
    for said in ("has ended", "does not run"):
        assert await asyncio.to_thread(main, ["--connect", OTHER, "--stop"]) == 0
        assert said in capsys.readouterr().out
    assert await running.wait() == 0


async def test_a_link_starts_the_broker_without_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    link, heard = BrokerLink(URI), asyncio.Event()
    link.lost.connect(heard.set)
    with pytest.raises(QubesManagerError, match="that transfer is over"):
        await link.do(CancelTransfer(1))
