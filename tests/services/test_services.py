"""The services, on libvirt's own test driver."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import libvirt
import pytest
import yaml

from bench.domains import write_domains
from qubes_manager.core.creation_request import parse_checksum
from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.core.settings import ColumnSetting, Settings
from qubes_manager.services.crossing.clipboard import InterDomainClipboard
from qubes_manager.services.domains.listing import COLUMNS, FORMATS, find_columns, table
from qubes_manager.services.domains.property_table import PROPERTIES
from qubes_manager.services.domains.removal import refuse_removal
from qubes_manager.services.files.settings_file import SettingsFile
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import Batch, DomainStore, HostPhase
from qubes_manager.services.hosts.usage_poller import UsagePoller


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[Hosts]:
    """Forty domains, half of them running, that are followed."""
    uri = f"test://{write_domains(tmp_path / 'forty.xml', 40)}"
    hosts = Hosts(DomainStore(), watch=True)
    hosts.follow(uri)
    await until(lambda: len(hosts.store.domains) == 41 and all(d.config for d in hosts.store.domains.values()))
    yield hosts
    await hosts.close()


async def until(check, timeout: float = 10) -> None:
    async with asyncio.timeout(timeout):
        while not check():
            await asyncio.sleep(0.01)


async def test_all_domains_come_with_their_labels(hosts: Hosts) -> None:
    domains = [d for d in hosts.store.domains.values() if not d.is_host]
    assert {d.klass for d in domains} == {"AppVM"}
    assert sum(d.state is DomainState.RUNNING for d in domains) == 20
    assert {d.label.name for d in domains} >= {"red", "black"}
    assert hosts.store.hosts[hosts.uris[0]].phase is HostPhase.CONNECTED


async def test_a_storm_of_events_is_a_handful_of_batches(hosts: Hosts) -> None:
    batches: list[Batch] = []
    hosts.store.on_batch(batches.append)
    await asyncio.sleep(0.1)
    batches.clear()
    connection = hosts.connection(hosts.uris[0])
    running = [d for d in hosts.store.domains.values() if d.state is DomainState.RUNNING and not d.is_host]
    handles = [connection.handles[d.key.uuid] for d in running]
    await connection.call("pause", lambda _raw: [handle.suspend() for handle in handles])
    await until(lambda: all(hosts.store.domains[d.key].state is DomainState.PAUSED for d in running))
    await asyncio.sleep(0.1)
    assert sum(len(batch.changed) for batch in batches) == 20
    assert len(batches) <= 4


async def test_figures_are_read_for_visible_running_rows_only(hosts: Hosts) -> None:
    domains = [d for d in hosts.store.domains.values() if not d.is_host]
    running = next(d for d in domains if d.state is DomainState.RUNNING)
    halted = next(d for d in domains if d.state is DomainState.HALTED)
    poller = UsagePoller(hosts, hosts.store)
    poller.show([running.key, halted.key])
    for _ in range(3):
        await poller.poll()
        await asyncio.sleep(0.05)
    assert hosts.store.domains[running.key].usage.cpu_percent is not None
    others = [d for d in hosts.store.domains.values() if d.key != running.key]
    assert all(d.usage.cpu_percent is None for d in others)


async def test_autostart_that_changes_elsewhere_is_seen_on_refresh(hosts: Hosts) -> None:
    domain = next(d for d in hosts.store.domains.values() if not d.is_host)
    connection = hosts.connection(hosts.uris[0])
    await connection.on_domain(domain.key.uuid, "set", lambda handle: handle.setAutostart(1))
    hosts.refresh_flags()
    await until(lambda: hosts.store.domains[domain.key].autostart)


async def test_a_host_that_is_not_there_does_not_stop_the_others(tmp_path: Path) -> None:
    hosts = Hosts(DomainStore(), watch=True)
    hosts.follow("qemu+unix:///session?socket=/no/such/socket")
    hosts.follow("test:///default")
    await until(lambda: {s.phase for s in hosts.store.hosts.values()} == {HostPhase.CONNECTED, HostPhase.DISCONNECTED})
    assert any(d.name == "test" for d in hosts.store.domains.values())
    await hosts.close()


def test_the_clipboard_gives_its_text_once_and_never_back() -> None:
    clipboard = InterDomainClipboard(max_size=10)
    seen: list[object] = []
    clipboard.on_change(seen.append)
    assert clipboard.put("dom0", "größe").size == 7
    with pytest.raises(Refused, match="came from “dom0” itself"):
        clipboard.take("dom0")
    assert clipboard.take("work") == "größe"
    with pytest.raises(Refused, match="is empty"):
        clipboard.take("personal")
    with pytest.raises(Refused, match="11 characters, and the inter-domain clipboard takes 10"):
        clipboard.put("dom0", "x" * 11)
    with pytest.raises(Refused, match="nothing to copy"):
        clipboard.put("dom0", "")
    assert len(seen) == 2


def test_settings_come_back_as_they_were_saved(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "deep/settings.yaml")
    assert file.load() == (Settings(), "")
    settings = Settings(appearance="dark", columns=[ColumnSetting("name", 120, True)], unasked=["start"])
    file.save(settings)
    assert file.load() == (settings, "")
    assert [p.name for p in file.path.parent.iterdir()] == ["settings.yaml"]


@pytest.mark.parametrize("text", ["appearance: [", "appearance: loud", "\x00", "- a list", "nonsense: 1"])
def test_broken_settings_are_kept_aside(tmp_path: Path, text: str) -> None:
    file = SettingsFile(tmp_path / "settings.yaml")
    file.path.write_text(text)
    settings, said = file.load()
    assert settings == Settings()
    assert "The settings could not be used" in said
    assert (tmp_path / "settings.broken.yaml").read_text() == text
    assert not file.path.exists()


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SettingsFile(tmp_path / "settings.yaml")
    file.save(Settings(appearance="dark"))

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(yaml, "safe_dump", full)
    with pytest.raises(OSError, match="No space"):
        file.save(Settings(appearance="light"))
    assert file.load()[0].appearance == "dark"
    assert len(list(tmp_path.iterdir())) == 1


def test_removal_is_refused_while_others_need_the_domain() -> None:
    def domain(name: str, **config: str) -> Domain:
        return Domain(DomainKey("x", name), name, DomainState.HALTED, config=DomainConfig(**config))

    template = domain("debian")
    users = [domain("b", template="debian"), domain("a", template="debian"), template]
    with pytest.raises(Refused, match="“debian” is the template of a, b: give them another one first"):
        refuse_removal(template, users)
    with pytest.raises(Refused, match="default dispvm of c"):
        refuse_removal(template, [domain("c", default_dispvm="debian")])
    refuse_removal(template, [template])


def test_checksums_are_told_by_their_length() -> None:
    assert parse_checksum("A" * 64 + "  image.iso\n") == ("sha256", "a" * 64)
    assert parse_checksum("sha512:" + "0" * 128) == ("sha512", "0" * 128)
    with pytest.raises(Exception, match="SHA-256 or SHA-512"):
        parse_checksum("abc")


def test_all_formats_name_columns_that_there_are() -> None:
    for fields in FORMATS.values():
        assert find_columns(fields.split(","))
    host = Domain(DomainKey("x", "y"), "z", DomainState.HALTED)
    for column in COLUMNS.values():
        assert isinstance(column.value(host, DomainConfig()), str)
    assert table([host]).splitlines()[1].split() == ["z", "Halted", "-", "-", "-", "-"]
    assert all(isinstance(p.read(host, DomainConfig()), str) for p in PROPERTIES.values())


def test_the_test_driver_is_the_real_libvirt() -> None:
    assert libvirt.getVersion() >= 9_000_000
