"""Which logs there are to read."""

from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import HOST_UUID, DomainConfig, DomainKey
from qubes_manager.core.errors import NotFound
from qubes_manager.services.files.log_paths import LogPaths
from qubes_manager.services.files.logs import BUILD_LOG, Logs, LogSource
from tests.build import domain

WORK = domain("work")


@pytest.fixture
def own(tmp_path: Path) -> LogPaths:
    """All logs of our own, with something in them."""
    paths = LogPaths(tmp_path / "own")
    for path in (paths.manager, paths.template_build, paths.gui(WORK.key.uuid)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("ours")
    return paths


async def titles(own: LogPaths, shown: object, uri: str) -> list[str]:
    return [source.title for source in await Logs(own).sources(shown, uri)]  # type: ignore[arg-type]


async def test_logs_of_a_domain_come_before_those_of_its_libvirt_and_ours(
    own: LogPaths, daemon: PrivateDaemon, tmp_path: Path
) -> None:
    console = tmp_path / "console.log"
    console.write_text("login: ")
    qemu = daemon.folder / "cache/libvirt/qemu/log/work.log"
    qemu.write_text("qemu-system-x86_64 …")
    network = daemon.folder / f"data/qubes-manager/network/{WORK.key.uuid}.log"
    network.parent.mkdir(parents=True, exist_ok=True)
    network.write_text("refused: tcp 192.0.2.1 port 80")
    shown = replace(WORK, config=DomainConfig(console_log=str(console)))
    try:
        found = await titles(own, shown, daemon.uri)
    finally:
        qemu.unlink()
        network.unlink()
    ours = ["Qubes Manager", BUILD_LOG]
    of_work = [f"{what} of work" for what in ("QEMU log", "Console", "Network", "Windows")]
    assert found == [*of_work, "libvirt (libvirtd)", *ours]
    # What is not there is not offered, and this machine has no logs of a domain.
    assert await titles(own, WORK, daemon.uri) == ["Windows of work", "libvirt (libvirtd)", *ours]
    host = replace(shown, key=DomainKey(daemon.uri, HOST_UUID))
    assert await titles(own, host, daemon.uri) == ["libvirt (libvirtd)", *ours]


async def test_of_another_machine_only_our_own_logs_are_here(own: LogPaths, tmp_path: Path) -> None:
    # Its console log is a path over there, and must not be looked for here.
    (tmp_path / "console.log").write_text("another machine's namesake")
    shown = replace(WORK, config=DomainConfig(console_log=str(tmp_path / "console.log")))
    assert await titles(own, shown, "qemu+ssh://far/system") == ["Windows of work", "Qubes Manager", BUILD_LOG]
    with pytest.raises(NotFound, match="there are no logs here: they are on the machine that runs the domain"):
        await Logs(LogPaths(tmp_path / "nothing")).sources(WORK, "qemu+ssh://far/system")


@pytest.mark.parametrize("has_tool", [True, False])
async def test_the_journal_is_read_where_the_system_s_daemon_writes_to_one(
    own: LogPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_tool: bool
) -> None:
    tool = tmp_path / "journalctl"
    tool.write_text("#!/bin/sh\necho a line of the journal\n")
    tool.chmod(0o755 if has_tool else 0o644)
    monkeypatch.setenv("PATH", str(tmp_path))
    journal = LogSource("libvirt (system journal)", None)
    found = await Logs(own).sources(None, "qemu:///system")
    assert (journal in found) is has_tool
    assert journal not in await Logs(own).sources(None, "test:///default")


async def test_the_journal_is_whole_each_time_and_a_file_grows(
    own: LogPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "journalctl"
    tool.write_text("#!/bin/sh\necho a line of the journal\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    logs, journal, file = Logs(own), LogSource("journal", None), LogSource("file", own.manager)
    whole = await logs.read(journal)
    assert b"a line of the journal" in whole.data
    assert (await logs.read_growth(journal, whole)).data == b""
    assert await logs.save(journal, tmp_path / "saved") == (tmp_path / "saved").stat().st_size > 0
    first = await logs.read(file)
    with own.manager.open("a") as log:
        log.write(" and more")
    assert (first.data, (await logs.read_growth(file, first)).data) == (b"ours", b" and more")
    assert await logs.save(file, tmp_path / "saved") == len("ours and more")
