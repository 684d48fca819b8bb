"""Calls between real guests, carried by the real broker in a process of its own, which is killed as others are."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from qubes_manager.backend.guests.guest_tools import python_folder
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.core.crossing.broker_messages import TransferStatus
from qubes_manager.core.domain import DomainKey, DomainState
from qubes_manager.services.crossing.link import BrokerLink
from tests.integration.conftest import World, remove_domain
from tests.integration.crossing import make_crossing_domain, prepare

pytestmark = pytest.mark.guest
POLICY = """
test.Shut * @anyvm @anyvm deny
qubes.GetDate * @anyvm @default allow target=dom0
* * @anyvm @anyvm allow
"""


class Brokers:
    """The brokers that a link starts, one after the other, and what the present one tells."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.link = BrokerLink(world.uri)
        self.told: list[TransferStatus] = []
        self.link.heard.connect(lambda news: self.told.append(news) if isinstance(news, TransferStatus) else None)
        world.policy_files.folder.mkdir(parents=True)
        world.policy_files.replace("30-user", POLICY)
        self._following = asyncio.create_task(self.link.follow())

    @property
    def pid(self) -> int | None:
        """The process of the present one."""
        words = ["-m", "qubes_manager", "broker", "--connect", self._world.uri]
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "cmdline").read_bytes().decode().split("\0")[1:-1] == words:
                    return int(process.name)
        return None

    async def end(self, how: signal.Signals) -> None:
        """End the present one, and wait until it has gone."""
        await self._world.until(lambda: self.pid, "there is a broker")
        pid = self.pid
        assert pid
        os.kill(pid, how)
        await self._world.until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or self.pid != pid, "it has ended")

    async def moving(self, service: str) -> TransferStatus:
        """Wait until bytes go through a call of *service*."""

        def found() -> TransferStatus | None:
            running = self.link.transfers.values()
            return next((s for s in running if s.service == service and s.moved), None)

        await self._world.until(found, f"{service} moves bytes")
        status = found()
        assert status
        return status

    def resident_kib(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    async def close(self) -> None:
        self._following.cancel()
        await asyncio.wait({self._following})
        # There is none where it has just been killed.
        if self.pid:
            await self.end(signal.SIGTERM)


@pytest.fixture
async def brokers(world: World, two_guests: tuple[DomainKey, DomainKey]) -> AsyncIterator[Brokers]:
    for key in two_guests:
        await world.until(lambda key=key: key in world.store.domains and world.store.require(key).is_read, "it is read")  # type: ignore[misc]
    brokers = Brokers(world)
    yield brokers
    await brokers.close()


@dataclass
class Said:
    """How a command in a guest ended."""

    code: int
    out: str
    err: str


async def run_in(world: World, key: DomainKey, line: str) -> Said:
    out, err = bytearray(), bytearray()
    async with asyncio.timeout(120):
        code = await world.commands.run(key, line, user="user", out=out.extend, err=err.extend)
    return Said(code, out.decode(), err.decode())


# Gives calls up as soon as they have their ports, and then makes one.
FICKLE = f"""
import sys
sys.path.insert(0, "/{python_folder()}")
from qubes_manager.guest.crossing.client import call
for _ in range(3):
    call("test.Upper", "", "callee").close()
with call("test.Upper", "", "callee") as conversation:
    sys.exit(conversation.join(0, 1).code)
"""


async def test_calls_that_are_given_up_at_once_spoil_no_other(
    world: World, two_guests: tuple[DomainKey, DomainKey], brokers: Brokers
) -> None:
    """QEMU tells of a port once a second at most: what it says of those is late."""
    assert await world.commands.run(two_guests[0], "cat >/tmp/fickle.py", user="root", data=FICKLE.encode()) == 0
    said = await run_in(world, two_guests[0], "echo hello | python3 /tmp/fickle.py")
    assert (said.code, said.out) == (3, "HELLO\n"), said


async def test_a_call_goes_from_guest_to_guest_and_its_answer_and_code_come_back(
    world: World, two_guests: tuple[DomainKey, DomainKey], brokers: Brokers
) -> None:
    said = await run_in(world, two_guests[0], "echo hello | qrexec-client-vm callee test.Upper")
    assert (said.code, said.out) == (3, "HELLO\n"), said
    assert "careful" in said.err
    said = await run_in(world, two_guests[0], "echo hello | qrexec-client-vm callee test.Shut")
    assert said.code == 126
    assert "the policy does not allow it" in said.err
    said = await run_in(world, two_guests[0], "echo | qrexec-client-vm callee test.None")
    assert said.code not in (0, 126), said
    decisions = world.audit.read()
    assert [(d.source, d.service, d.went_to) for d in decisions[::-1]] == [
        ("caller", "test.Upper", "callee"),
        ("caller", "test.Shut", ""),
        ("caller", "test.None", "callee"),
    ]


async def test_a_local_program_talks_to_a_service_that_runs_as_its_domain_says(
    world: World, two_guests: tuple[DomainKey, DomainKey], brokers: Brokers
) -> None:
    program = "/bin/sh -c 'echo local; exec >&-; cat >/tmp/answer; echo $QREXEC_REMOTE_DOMAIN >>/tmp/answer; exit 4'"
    said = await run_in(world, two_guests[0], f"qrexec-client-vm callee test.Upper {program}; echo $?; cat /tmp/answer")
    assert said.out == "4\nLOCAL\ncallee\n", said
    settings = "mkdir -p /etc/qubes/rpc-config; cd /etc/qubes/rpc-config; echo \"force-user='ghost'\" >test.Upper+ghost"
    assert await world.commands.run(two_guests[1], settings, user="root") == 0
    said = await run_in(world, two_guests[0], "echo | qrexec-client-vm callee test.Upper+ghost")
    assert (said.code, "there is no user ghost" in said.err) == (125, True), said


async def test_a_port_of_another_domain_becomes_one_of_this_domains_own(
    world: World, two_guests: tuple[DomainKey, DomainKey], brokers: Brokers
) -> None:
    for key in two_guests:
        line = "ip link set lo up && echo 127.0.0.1 localhost >/etc/hosts"
        assert await world.commands.run(key, line, user="root") == 0
    server = "nc -ll -p 8080 -e tr a-z A-Z >/dev/null 2>&1 </dev/null"
    listening = f"{server} & until netstat -ltn | grep -q 8080; do sleep 0.1; done"
    assert (await run_in(world, two_guests[1], listening)).code == 0
    joining = "qvm-connect-tcp 8081:callee:8080 2>/tmp/joined & until grep -q until /tmp/joined; do sleep 0.1; done"
    asking = "for word in hello again; do echo $word | nc 127.0.0.1 8081; done; kill $!; cat /tmp/joined"
    said = await run_in(world, two_guests[0], f"{joining}; {asking}")
    assert (
        said.out == "HELLO\nAGAIN\nqvm-connect-tcp: 127.0.0.1:8081 is port 8080 of “callee” until this ends (Ctrl+C)\n"
    )
    await run_in(world, two_guests[1], "kill $(pidof nc)")


async def test_a_guests_clock_is_set_by_this_machines(
    world: World, two_guests: tuple[DomainKey, DomainKey], brokers: Brokers
) -> None:
    out = bytearray()
    line = "date -s '2020-01-01 00:00:00' >/dev/null; qvm-sync-clock --wait 60 --if-off 5 && date +%s"
    assert await world.commands.run(two_guests[0], line, user="root", out=out.extend) == 0
    assert abs(int(out) - time.time()) < 60


async def test_megabytes_come_as_they_were_sent(
    world: World, two_guests: tuple[DomainKey, DomainKey], brokers: Brokers
) -> None:
    line = "head -c 20000000 /dev/urandom >/tmp/d; sha256sum </tmp/d; qrexec-client-vm callee test.Digest </tmp/d"
    said = await run_in(world, two_guests[0], f"{line}; rm /tmp/d")
    first, second = said.out.splitlines()
    assert first == second
    await world.until(lambda: brokers.told and brokers.told[-1].is_over, "the transfer ends")
    assert brokers.told[-1].moved > 20_000_000


async def test_when_the_broker_is_killed_the_call_ends_in_both_guests_and_the_next_broker_serves(
    world: World, two_guests: tuple[DomainKey, DomainKey], brokers: Brokers
) -> None:
    calling = [
        asyncio.create_task(run_in(world, two_guests[0], f"qrexec-client-vm callee {service} {there}"))
        for service, there in (("test.Sink", "</dev/zero"), ("test.Zeros", "</dev/null >/dev/null"))
    ]
    for service in ("test.Sink", "test.Zeros"):
        await brokers.moving(service)
    await brokers.end(signal.SIGKILL)
    for said in await asyncio.gather(*calling):
        assert said.code == 125, said
    assert (await run_in(world, two_guests[1], "until ! pidof cat; do sleep 0.1; done")).code == 0
    for _ in range(5):
        said = await run_in(world, two_guests[0], "echo hello | qrexec-client-vm callee test.Upper")
        assert (said.code, said.out) == (3, "HELLO\n"), said


async def test_a_target_is_started_for_a_call_which_ends_with_it(
    world: World, two_guests: tuple[DomainKey, DomainKey], brokers: Brokers, python_guest: TinyGuest
) -> None:
    key = await make_crossing_domain(world, world.uri, python_guest, "late", memory=256, start=False)
    try:
        said = await run_in(world, two_guests[0], "echo hello | qrexec-client-vm late qubes.VMShell")
        assert "“late” is being started" in said.err, said
        await world.until(lambda: world.store.require(key).state is DomainState.RUNNING, "it runs")
        await prepare(world, key)
        line = "qrexec-client-vm late test.Sink </dev/zero"
        calling = asyncio.create_task(run_in(world, two_guests[0], line))
        await brokers.moving("test.Sink")
        await world.lifecycle.kill(key)
        said = await calling
        assert said.code == 125
        assert "“late”" in said.err
    finally:
        remove_domain(world.uri, "late")


async def test_a_domain_that_was_saved_goes_on_for_a_call_and_answers(
    world: World, two_guests: tuple[DomainKey, DomainKey], brokers: Brokers
) -> None:
    callee = two_guests[1]
    await world.hosts.connection(world.uri).on_domain(callee.uuid, "save it", lambda d: d.managedSave(0), timeout=60)
    await world.until(lambda: world.store.require(callee).state is DomainState.SAVED, "it is saved")
    said = await run_in(world, two_guests[0], "echo hello | qrexec-client-vm callee test.Upper")
    assert (said.code, said.out) == (3, "HELLO\n"), said


async def test_a_guest_that_floods_its_request_port_slows_down_nobody_and_costs_the_broker_nothing(
    world: World, two_guests: tuple[DomainKey, DomainKey], brokers: Brokers
) -> None:
    request = '{"type":"call","call":1,"service":"a.B","argument":"","target":"x","names":[],"count":0,"size":0}'
    hello = '{"type":"hello","version":1,"tools":"","begins":false}'
    await run_in(world, two_guests[0], "echo | qrexec-client-vm callee test.Upper")
    before = brokers.resident_kib()
    # The guest's own program, which keeps to the rate, has to go first.
    flood = f"""
i=0; while [ $i -lt 1000 ]; do echo '{request}'; i=$((i+1)); done >/tmp/requests
kill -9 $(pidof start-crossing) $(pidof crossing); sleep 0.2
(echo; echo '{hello}'; while :; do cat /tmp/requests; done) >/dev/virtio-ports/org.qubes_manager.req.0 &
flood=$!; sleep 15; kill $flood || exit 9; setsid /etc/start-crossing >/dev/null 2>&1 </dev/null &
"""
    flooding = asyncio.create_task(world.commands.run(two_guests[1], flood, user="root"))
    began, calls = time.monotonic(), 0
    while time.monotonic() - began < 14 or calls < 2:
        said = await run_in(world, two_guests[0], "qrexec-client-vm @default qubes.GetDate </dev/null")
        assert said.code == 0, said
        assert said.out.endswith("+00:00\n")
        calls += 1
    assert brokers.resident_kib() - before < 16 << 10
    assert await flooding == 0
    refused = [d for d in world.audit.read() if d.service == "a.B"]
    # It was heard, and has not filled the log.
    assert 5 < len(refused) < 100
