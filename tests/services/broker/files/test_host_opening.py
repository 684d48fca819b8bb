"""Files of this machine, opened in a disposable: only looked at, or edited and taken back."""

import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.core.crossing.broker_messages import TransferPhase
from qubes_manager.core.crossing.file_requests import AwaitCopy, CopyBegun, CopyReport, OpenFiles
from qubes_manager.core.crossing.guest_messages import End
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.guest.commands import putting_back
from qubes_manager.guest.commands.putting_back import PutBack
from qubes_manager.services.broker.files import host_opening
from tests.services.broker.conftest import Crossing, key_of
from tests.services.broker.fake_guest import FakeGuest
from tests.services.broker.files.conftest import Copying
from tests.services.broker.serving_guest import ServingGuest
from tests.services.broker.showing import Showing


class OneDisposable:
    """Stands for disposables: a guest that was made before, and what became of it."""

    def __init__(self, crossing: Crossing, guest: FakeGuest) -> None:
        self._crossing = crossing
        self._guest = guest
        self.made_of: list[DomainKey] = []
        self.is_gone = False

    async def default_for(self, _uri: str) -> Domain:
        return self._crossing.services.store.require(key_of(self._guest))

    @asynccontextmanager
    async def new(self, template: DomainKey) -> AsyncIterator[DomainKey]:
        self.made_of.append(template)
        try:
            yield key_of(self._guest)
        finally:
            self.is_gone = True


@pytest.fixture
async def copying(crossing: Crossing, tmp_path: Path) -> AsyncIterator[Copying]:
    copying = Copying(crossing, tmp_path / "world")
    yield copying
    await copying.close()


async def opened(copying: Copying, *paths: Path, view_only: bool = False) -> CopyReport:
    begun = await copying.answer(OpenFiles("", tuple(map(str, paths)), view_only))
    assert isinstance(begun, CopyBegun)
    report = await copying.answer(AwaitCopy(begun.transfer))
    assert isinstance(report, CopyReport)
    return report


async def serving(copying: Copying) -> OneDisposable:
    disposable = OneDisposable(copying.crossing, (await copying.guest("disp7")).guest)
    copying.crossing.broker.new_disposables._disposables = disposable  # type: ignore[assignment]
    return disposable


async def test_what_is_edited_comes_back_and_the_old_one_is_kept(copying: Copying) -> None:
    disposable = await serving(copying)
    letter, kept = copying.file("letter", b"old\n"), copying.file("kept", b"as it was\n")
    letter.chmod(0o640)
    report = await opened(copying, letter, kept)
    assert letter.read_bytes() == b"old\nedited\n"
    assert letter.stat().st_mode & 0o777 == 0o640
    with suppress(OSError):
        # Where the file system knows such marks.
        os.setxattr(kept, "user.xdg.origin.url", b"here")
        assert os.getxattr(letter, "user.xdg.origin.url") == b"domain:disposable"
    assert (letter.parent / "letter~").read_bytes() == b"old\n"
    assert (kept.read_bytes(), (kept.parent / "kept~").exists()) == (b"as it was\n", False)
    assert report.remarks == ("“letter” is changed; the old one is “letter~”",)
    assert (disposable.is_gone, copying.told[-1].phase, copying.told[-1].target) == (True, TransferPhase.DONE, "disp7")
    assert list((copying.home / "QubesIncoming").iterdir()) == []


async def test_what_is_only_viewed_stays_as_it_is_and_its_window_may_have_the_keyboard(
    copying: Copying, showing: Showing
) -> None:
    disposable = await serving(copying)
    letter = copying.file("letter", b"old\n")
    await opened(copying, letter, view_only=True)
    assert showing.announced == [copying.guests[0].guest.uuid]
    assert letter.read_bytes() == b"old\n"
    assert [path.name for path in letter.parent.iterdir()] == ["letter"]
    assert disposable.is_gone
    [start] = copying.guests[0].started
    assert start.argument == "view-only"


async def domains(copying: Copying, rules: str) -> tuple[OneDisposable, ServingGuest, ServingGuest]:
    """A guest that has a file, and what a disposable is made of, which stands for the disposable too."""
    work, base = await copying.guest("work"), await copying.guest("base")
    copying.crossing.let(rules)
    store, key = copying.crossing.services.store, key_of(base.guest)
    domain = store.require(key)
    store.put([replace(domain, config=replace(domain.config, template_for_dispvms=True))])
    store.flush()
    (work.home / "letter").write_bytes(b"old\n")
    disposable = OneDisposable(copying.crossing, base.guest)
    copying.crossing.broker.new_disposables._disposables = disposable  # type: ignore[assignment]
    return disposable, work, base


@pytest.mark.parametrize("action", ["allow", "ask"])
async def test_a_domain_s_files_are_viewed_in_a_disposable_too(copying: Copying, action: str) -> None:
    disposable, work, base = await domains(copying, f"qubes.OpenInVM * work @dispvm:base {action}\n")
    begun = await copying.answer(OpenFiles("", (str(work.home / "letter"),), True, work.guest.uuid))
    assert isinstance(begun, CopyBegun)
    await copying.answer(AwaitCopy(begun.transfer))
    assert base.started[-1].argument == "view-only+allow-all-names"
    assert (work.home / "letter").read_bytes() == b"old\n"
    assert (disposable.is_gone, copying.told[0].source, copying.told[-1].phase) == (True, "work", TransferPhase.DONE)
    [decision] = copying.crossing.decisions()
    assert (decision.source, decision.service, decision.went_to) == ("work", "qubes.OpenInVM", "@dispvm:base")


@pytest.mark.parametrize(
    ("rules", "view_only", "reason"),
    [
        ("qubes.OpenInVM * work @dispvm:base deny\n", True, "lets no files go from “work” to “@dispvm:base”"),
        ("qubes.OpenInVM * work @dispvm:base allow\n", False, "goes back by “Edit in disposable” in “work” alone"),
    ],
    ids=["denied", "edited"],
)
async def test_they_go_nowhere_else_and_are_not_edited_from_here(
    copying: Copying, rules: str, view_only: bool, reason: str
) -> None:
    disposable, work, _base = await domains(copying, rules)
    with pytest.raises(Refused, match=reason):
        await copying.answer(OpenFiles("", (str(work.home / "letter"),), view_only, work.guest.uuid))
    assert (disposable.made_of, copying.told) == ([], [])


async def test_two_files_of_one_name_are_refused_before_a_disposable_is_made(copying: Copying) -> None:
    disposable = await serving(copying)
    with pytest.raises(Refused, match="same name"):
        await opened(copying, copying.file("a/letter"), copying.file("b/letter"))
    assert disposable.made_of == []


async def test_no_disposable_is_made_for_files_that_are_not_there(copying: Copying) -> None:
    disposable = await serving(copying)
    with pytest.raises(QubesManagerError, match="No such file"):
        await opened(copying, copying.files / "gone")
    assert disposable.made_of == []


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b'{"type": "changed", "name": "/etc/passwd"}\n', "was not sent"),
        (b'{"type": "changed", "name": "../letter"}\n', "was not sent"),
        (b'{"type": "changed", "name": "letter"}\n' * 2, "was not sent"),
        (
            b'{"type": "changed", "name": "letter"}\n{"type": "offer", "size": 1125899906842624, "count": 1}\n',
            "1024 TiB come back",
        ),
        (
            b'{"type": "changed", "name": "letter"}\n{"type": "offer", "size": 1, "count": 1}\n' + bytes(1056),
            "not all comes back|not what was sent",
        ),
        (b'{"type": "offer", "size": 5, "count": 1}\n', "does not say what comes back"),
        (b'{"type": "failure", "reason": "no program opens it"}\n', "no program opens it"),
    ],
)
async def test_what_was_not_sent_does_not_come_back(copying: Copying, said: bytes, reason: str) -> None:
    guest = await copying.crossing.guest("disp7")
    disposable = OneDisposable(copying.crossing, guest)
    copying.crossing.broker.new_disposables._disposables = disposable  # type: ignore[assignment]
    letter = copying.file("letter", b"old\n")
    begun = await copying.answer(OpenFiles("", (str(letter),), False))
    assert isinstance(begun, CopyBegun)
    _start, port = await guest.started()
    await port.write(b'{"type": "go"}\n')
    archive = await port.read_exactly((await guest.hear(End)).size)
    await port.write(f'{{"type": "stored", "sha256": "{archive[-32:].hex()}", "renamed": 0, "skipped": 0}}\n'.encode())
    await port.write(said)
    with pytest.raises(QubesManagerError, match=reason):
        await copying.answer(AwaitCopy(begun.transfer))
    assert letter.read_bytes() == b"old\n"
    assert disposable.is_gone
    assert list((copying.home / "QubesIncoming").iterdir()) == []
    assert [path.name for path in letter.parent.iterdir()] == ["letter"]


async def test_a_file_that_cannot_be_put_back_is_told_with_its_place_and_keeps_no_other_one(
    copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    await serving(copying)

    def put_back(edited: Path, original: Path, sent: tuple[int, ...], rescue: Path) -> PutBack:
        if original.name == "stuck":
            raise OSError(errno.EIO, "Input/output error")
        return putting_back.put_back(edited, original, sent, rescue)

    monkeypatch.setattr(host_opening, "put_back", put_back)
    stuck, letter = copying.file("stuck", b"old\n"), copying.file("letter", b"old\n")
    report = await opened(copying, stuck, letter)
    assert (stuck.read_bytes(), letter.read_bytes()) == (b"old\n", b"old\nedited\n")
    [work] = (copying.home / "QubesIncoming").iterdir()
    assert [path.read_bytes() for path in work.iterdir()] == [b"old\nedited\n"]
    assert report.remarks == (
        f"“stuck” is in {work}/0, as it came back: Input/output error",
        "“letter” is changed; the old one is “letter~”",
    )
