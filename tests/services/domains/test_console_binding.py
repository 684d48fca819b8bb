"""Console logs that were named after their domains, on the test driver."""

from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.core.domain import DomainConfig
from qubes_manager.services.domains import console_binding
from qubes_manager.services.domains.console_binding import bind_console_log
from tests.services.conftest import MakeWorld


@pytest.mark.parametrize("shared", [False, True])
async def test_a_log_goes_by_uuid_from_the_next_start_on_and_its_lines_with_it(
    driver_world: MakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    monkeypatch.setattr(console_binding, "console_log_path", lambda _uri, uuid: str(tmp_path / f"{uuid}-console.log"))
    log, elsewhere = tmp_path / "untrusted-console.log", tmp_path / "mine/x-console.log"
    log.write_text("lines")
    domain = NewDomain("renamed", DomainConfig(), console_log=str(log))
    later = replace(domain, name="untrusted", console_log=str(log if shared else tmp_path / "other.log"))
    world = await driver_world([domain, later, replace(domain, name="own", console_log=str(elsewhere))])
    for name in ("renamed", "own"):
        await bind_console_log(world.hosts, world.store, world.named(name))
        await world.hosts.refresh(world.named(name).key)
    bound = Path(world.named("renamed").config.console_log)
    assert bound.name == f"{world.named('renamed').key.uuid}-console.log"
    # What another domain writes too is nobody's alone.
    assert (log.exists(), bound.exists()) == (shared, not shared)
    assert world.named("own").config.console_log == str(elsewhere)
