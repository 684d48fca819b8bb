"""Copies that the user at this machine wants: from it, to it, and between domains."""

import asyncio
import hashlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from qubes_manager.core.crossing.broker_messages import TransferPhase
from qubes_manager.core.crossing.file_messages import Clash, Go, Stored
from qubes_manager.core.crossing.file_requests import AwaitCopy, CopyReport, FileList, ListFiles
from qubes_manager.core.crossing.guest_messages import End, Ended
from qubes_manager.core.domain import DomainState
from qubes_manager.core.errors import Cancelled, QubesManagerError, Refused
from qubes_manager.guest.archive.packing import pack
from qubes_manager.guest.archive.walking import survey
from qubes_manager.services.broker import known_domains
from qubes_manager.services.broker.guests import patience
from qubes_manager.services.crossing.audit import Decider, Outcome
from tests.backend.guests.shell_agent import ShellAgent
from tests.services.broker import serving_guest
from tests.services.broker.fake_guest import resident_bytes
from tests.services.broker.files.conftest import Copying, landed
from tests.waiting import until


async def test_files_of_this_machine_land_in_a_guest_with_every_byte(copying: Copying) -> None:
    work = await copying.guest("work")
    tree = {"tree/a": os.urandom(3_000_000), "tree/sub/b": b"", "tree/two\nlines": b"x"}
    for name, data in tree.items():
        copying.file(name, data)
    report = await copying.copy("", work.guest.uuid, copying.files / "tree")
    assert landed(work.home, "dom0") == tree
    assert report == CopyReport("~/QubesIncoming/dom0", 5, 3_000_001)
    last = copying.told[-1]
    assert (last.source, last.target, last.phase, last.sentence) == ("dom0", "work", TransferPhase.DONE, "tree")
    assert (last.moved, last.total) == (3_000_001, 3_000_001)
    assert (copying.files / "tree/a").exists()


async def test_what_is_moved_is_deleted_when_the_guest_has_it(copying: Copying) -> None:
    work = await copying.guest("work")
    copying.file("tree/a")
    await copying.copy("", work.guest.uuid, copying.files / "tree", move=True)
    assert landed(work.home, "dom0") == {"tree/a": b"content"}
    assert not (copying.files / "tree").exists()


async def test_what_cannot_be_sent_is_told_and_stays(copying: Copying) -> None:
    work = await copying.guest("work")
    copying.file("tree/a")
    os.mkfifo(copying.files / "tree/pipe")
    (copying.files / "tree/out").symlink_to("/etc/passwd")
    report = await copying.copy("", work.guest.uuid, copying.files / "tree", move=True)
    assert report.is_partial
    assert len(report.remarks) == 2
    assert {path.name for path in (copying.files / "tree").iterdir()} == {"pipe", "out"}


async def test_a_name_that_is_taken_in_the_guest_is_numbered_and_said(copying: Copying) -> None:
    work = await copying.guest("work")
    path = copying.file("a.txt")
    await copying.copy("", work.guest.uuid, path)
    report = await copying.copy("", work.guest.uuid, path)
    assert landed(work.home, "dom0") == {"a.txt": b"content", "a (2).txt": b"content"}
    assert report.remarks == ("1 got a number, since the name was taken",)


@pytest.mark.parametrize(
    ("clash", "content", "stays"),
    [(Clash.REPLACE, {"a.txt": b"new"}, False), (Clash.SKIP, {"a.txt": b"content"}, True)],
)
async def test_the_user_here_may_say_what_becomes_of_a_name_that_is_taken(
    copying: Copying, clash: Clash, content: Mapping[str, bytes], stays: bool
) -> None:
    work = await copying.guest("work")
    await copying.copy("", work.guest.uuid, copying.file("a.txt"))
    path = copying.file("a.txt", b"new")
    report = await copying.copy("", work.guest.uuid, path, move=True, clash=clash)
    assert landed(work.home, "dom0") == content
    # What was skipped is not moved.
    assert (path.exists(), report.is_partial) == (stays, stays)


@pytest.mark.parametrize(
    ("clash", "content"),
    [
        (Clash.REPLACE, {"a": b"new"}),
        (Clash.SKIP, {"a": b"old"}),
        (Clash.NUMBER, {"a": b"old", "a (2)": b"new"}),
    ],
)
async def test_he_may_say_so_between_two_domains_too(
    copying: Copying, clash: Clash, content: Mapping[str, bytes]
) -> None:
    copying.crossing.let("qubes.Filecopy * work vault ask\n")
    work, vault = await copying.guest("work"), await copying.guest("vault")
    for data in (b"old", b"new"):
        (work.home / "a").write_bytes(data)
        report = await copying.copy(work.guest.uuid, vault.guest.uuid, work.home / "a", clash=clash)
    assert landed(vault.home, "work") == content
    assert len(report.remarks) == (clash is not Clash.REPLACE)


@pytest.mark.parametrize("target", ["vault", ""])
async def test_a_domain_replaces_nothing_but_what_the_user_has_chosen(
    copying: Copying, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copying.crossing.let("qubes.Filecopy * work @anyvm ask\nqubes.Filecopy * work @adminvm ask\n")
    work, vault = await copying.guest("work"), await copying.guest("vault")
    uuid, home = (vault.guest.uuid, vault.home) if target else ("", copying.home)
    for name in ("a", "b"):
        (work.home / name).write_bytes(b"old")
        await copying.copy(work.guest.uuid, uuid, work.home / name)
        (work.home / name).write_bytes(b"new")
    monkeypatch.setitem(serving_guest.MODULES, "qubes_manager.FetchFiles", "tests.services.broker.lying_fetch")
    with pytest.raises(Refused, match="“b” comes, and was not chosen"):
        await copying.copy(work.guest.uuid, uuid, work.home / "a", clash=Clash.REPLACE)
    assert landed(home, "work") == {"a": b"old", "b": b"old"}


async def test_a_folder_that_cannot_be_made_leaves_no_thread_behind(copying: Copying) -> None:
    copying.crossing.let("qubes.Filecopy * work @adminvm ask\n")
    work = await copying.guest("work")
    (work.home / "a").write_bytes(b"new")
    (copying.home / "QubesIncoming").write_bytes(b"no folder")
    with pytest.raises(QubesManagerError, match="cannot be put where it goes"):
        await copying.copy(work.guest.uuid, "", work.home / "a")
    await until(lambda: not any(thread.name == "incoming files" for thread in threading.enumerate()))


async def test_nothing_to_send_is_said_before_anything_is_asked(copying: Copying) -> None:
    work = await copying.guest("work")
    with pytest.raises(QubesManagerError, match="No such file"):
        await copying.copy("", work.guest.uuid, copying.files / "gone")
    assert work.started == []
    assert copying.told[-1].phase is TransferPhase.FAILED


async def test_no_domain_is_started_for_files_that_are_not_there(copying: Copying) -> None:
    halted = await copying.crossing.guest("halted", state=DomainState.HALTED, begin=False)
    with pytest.raises(QubesManagerError, match="No such file"):
        await copying.copy("", halted.uuid, copying.files / "gone")
    assert not any("started" in status.message for status in copying.told[:-1])


async def test_files_of_a_guest_land_here_marked_as_foreign(copying: Copying) -> None:
    work = await copying.guest("work")
    (work.home / "tree").mkdir()
    data = os.urandom(1_000_000)
    (work.home / "tree/run.sh").write_bytes(data)
    (work.home / "tree/run.sh").chmod(0o4755)
    (work.home / "tree/link").symlink_to("run.sh")
    report = await copying.copy(work.guest.uuid, "", work.home / "tree")
    path = copying.home / "QubesIncoming" / "work" / "tree/run.sh"
    assert landed(copying.home, "work") == {"tree/run.sh": data}
    assert path.stat().st_mode & 0o7777 == 0o600
    assert os.getxattr(path, "user.xdg.origin.url") == b"domain:work"
    assert [(f.name, f.size, f.sha256) for f in report.files] == [
        ("tree/run.sh", len(data), hashlib.sha256(data).hexdigest())
    ]
    assert report.remarks == ("“tree/link” is a link, and was left out",)


async def test_files_go_from_one_guest_to_another(copying: Copying) -> None:
    copying.crossing.let("qubes.Filecopy * work vault ask\n")
    work, vault = await copying.guest("work"), await copying.guest("vault")
    data = os.urandom(2_000_000)
    (work.home / "a").write_bytes(data)
    report = await copying.copy(work.guest.uuid, vault.guest.uuid, work.home / "a")
    assert landed(vault.home, "work") == {"a": data}
    assert (report.folder, report.size) == ("~/QubesIncoming/work", len(data))
    [decision] = copying.crossing.decisions()
    assert (decision.went_to, decision.outcome, decision.by) == ("vault", Outcome.ALLOWED, Decider.USER)


async def test_what_the_policy_denies_is_not_done_here_either(copying: Copying) -> None:
    copying.crossing.let("qubes.Filecopy * work @anyvm deny\n")
    work, vault = await copying.guest("work"), await copying.guest("vault")
    (work.home / "a").touch()
    with pytest.raises(Refused, match="the policy lets no files go from “work” to “vault”"):
        await copying.copy(work.guest.uuid, vault.guest.uuid, work.home / "a")
    assert copying.told == []


@pytest.mark.parametrize("action", ["allow", "ask"])
async def test_what_the_policy_sends_elsewhere_does_not_go_where_the_user_says(copying: Copying, action: str) -> None:
    copying.crossing.let(f"qubes.Filecopy * work vault {action} target=personal\n")
    work, vault = await copying.guest("work"), await copying.guest("vault")
    await copying.guest("personal")
    (work.home / "a").touch()
    with pytest.raises(Refused, match="lets no files go from “work” to “vault”"):
        await copying.copy(work.guest.uuid, vault.guest.uuid, work.home / "a")
    [decision] = copying.crossing.decisions()
    assert (decision.source, decision.target, decision.outcome) == ("work", "vault", Outcome.REFUSED)


async def test_a_guest_without_room_says_so_before_a_byte_has_gone(
    copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = await copying.guest("work")
    with (copying.files / "huge").open("wb") as file:
        file.truncate(1 << 43)
    with pytest.raises(Refused, match="there is no room"):
        await copying.copy("", work.guest.uuid, copying.files / "huge", move=True)
    assert copying.told[-1].moved == 0
    assert (copying.files / "huge").exists()


async def test_here_too_room_is_asked_for_first(copying: Copying) -> None:
    work = await copying.guest("work")
    with (work.home / "huge").open("wb") as file:
        file.truncate(1 << 43)
    with pytest.raises(Refused, match="there is no room in “dom0”"):
        await copying.copy(work.guest.uuid, "", work.home / "huge")
    assert list((copying.home / "QubesIncoming/work").iterdir()) == []


async def test_a_copy_that_is_stopped_leaves_nothing_and_deletes_nothing(copying: Copying) -> None:
    work = await copying.guest("work")
    with (copying.files / "big").open("wb") as file:
        file.truncate(1 << 30)
    number = await copying.begin("", work.guest.uuid, copying.files / "big", move=True)
    await until(lambda: copying.told[-1].moved > 0)
    copying.crossing.broker.transfers.cancel(number)
    with pytest.raises(Cancelled):
        await copying.answer(AwaitCopy(number))
    assert copying.told[-1].message == "stopped; nothing was changed"
    assert (copying.files / "big").exists()
    assert all(path.name.startswith(".") for path in (work.home / "QubesIncoming/dom0").iterdir())


async def test_a_sender_that_stops_in_the_middle_is_left_with_a_reason(
    copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "STALL", 0.5)
    work = await copying.guest("work")
    (work.home / "a").write_bytes(os.urandom(2_000_000))
    work.stops_after = 1_000_000
    with pytest.raises(QubesManagerError, match="has not sent anything for"):
        await copying.copy(work.guest.uuid, "", work.home / "a")
    assert list((copying.home / "QubesIncoming/work").iterdir()) == []


async def test_a_sender_that_never_ends_is_stopped_at_what_it_has_offered_and_takes_no_memory(
    copying: Copying,
) -> None:
    guest = await copying.crossing.guest("work")
    written = 0

    async def flood() -> None:
        nonlocal written
        _start, port = await guest.started()
        header = b'{"type": "offer", "size": 100, "count": 1}\n' + endless_header()
        await port.write(header)
        while port.host:
            await port.write(bytes(1 << 20))
            written += 1 << 20

    flooding = asyncio.create_task(flood())
    before = resident_bytes()
    with pytest.raises(Refused, match="more comes than was said"):
        await copying.copy(guest.uuid, "", Path("/home/user/a"))
    flooding.cancel()
    assert written < 64 << 20
    assert resident_bytes() - before < 64 << 20


@pytest.mark.parametrize(
    ("goes_on", "reason"), [(False, "has not sent anything for"), (True, "goes on sending what nobody waits for")]
)
async def test_a_receiver_that_has_all_and_does_not_end_is_left(
    copying: Copying, goes_on: bool, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "STALL", 0.3)
    guest = await copying.crossing.guest("work")

    async def receive() -> None:
        _start, port = await guest.started()
        await port.write(Go().to_json().encode() + b"\n")
        sent = await port.read_exactly((await guest.hear_until(End)).size)
        await port.write(Stored(sent[-32:].hex()).to_json().encode() + b"\n")
        while goes_on and port.host:
            await port.write(bytes(1 << 20))
            # When the host has hung up, to write takes no turn.
            await asyncio.sleep(0)

    receiving = asyncio.create_task(receive())
    with pytest.raises(QubesManagerError, match=reason):
        await copying.copy("", guest.uuid, copying.file("a"), move=True)
    # It has not said that it has ended well.
    assert (copying.files / "a").exists()
    receiving.cancel()


def endless_header() -> bytes:
    import tarfile

    info = tarfile.TarInfo("a")
    info.size = 1 << 40
    return info.tobuf(tarfile.PAX_FORMAT)


async def test_a_domain_that_is_gone_or_the_same_is_no_target(
    copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_domains, "_PATIENCE", 0.3)
    work = await copying.guest("work")
    path = copying.file("a")
    with pytest.raises(Refused, match="already"):
        await copying.copy(work.guest.uuid, work.guest.uuid, path)
    with pytest.raises(QubesManagerError, match="does not exist any more"):
        await copying.copy("", "11111111-1111-4111-8111-111111111111", path)
    with pytest.raises(Refused, match="to move them use qvm-move there"):
        await copying.copy(work.guest.uuid, "", path, move=True)


async def test_what_is_told_of_a_copy_is_what_has_come_and_not_what_was_offered(copying: Copying) -> None:
    guest = await copying.crossing.guest("work")
    copied = asyncio.create_task(copying.copy(guest.uuid, "", Path("/home/user/a")))
    start, port = await guest.started()
    await guest.hear(End)
    archive = bytearray()
    pack(survey([copying.file("a", b"12345")]), archive.extend, problem=lambda _path, _reason: None)
    said = b'{"type": "offer", "size": 1000000, "count": 900}\n' + archive
    await guest.send(port, start.call, said)
    await guest.say(Ended(start.call, 0))
    report = await copied
    assert (report.count, report.size) == (1, 5)


async def test_a_guest_that_does_not_answer_what_is_offered_is_left(
    copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "STALL", 0.5)
    guest = await copying.crossing.guest("work")
    copied = asyncio.create_task(copying.copy("", guest.uuid, copying.file("a")))
    await guest.started()
    with pytest.raises(QubesManagerError, match="has not sent anything for"):
        await copied


async def test_files_go_between_guests_of_which_one_has_only_an_agent(copying: Copying, shell: ShellAgent) -> None:
    copying.crossing.let("qubes.Filecopy * @anyvm @anyvm ask\n")
    work, plain = await copying.guest("work"), await copying.crossing.guest("plain", begin=False)
    data = os.urandom(500_000)
    (work.home / "a").write_bytes(data)
    await copying.copy(work.guest.uuid, plain.uuid, work.home / "a")
    assert landed(shell.home, "work") == {"a": data}
    (shell.home / "tree").mkdir()
    (shell.home / "tree/b").write_bytes(data[::-1])
    await copying.copy(plain.uuid, work.guest.uuid, shell.home / "tree")
    assert landed(work.home, "plain") == {"tree/b": data[::-1]}
    await copying.copy(plain.uuid, "", shell.home / "tree")
    assert landed(copying.home, "plain") == {"tree/b": data[::-1]}
    assert isinstance(listing := await copying.answer(ListFiles(plain.uuid)), FileList)
    assert [entry.name for entry in listing.entries] == ["QubesIncoming", "tree"]
