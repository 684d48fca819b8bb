"""qvm-sync-appmenus where it fails; what it does is tried with real guests."""

import pytest

from qubes_manager.cli.qvm_sync_appmenus import main
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import GuestError
from qubes_manager.services.applications.app_lists import AppLists
from qubes_manager.services.domains.lifecycle import Lifecycle


@pytest.mark.parametrize("others_start_it", [False, True])
def test_a_domain_that_was_started_to_be_asked_and_does_not_answer_is_ended_and_no_other(
    uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], others_start_it: bool
) -> None:
    start, kill, killed = Lifecycle.start, Lifecycle.kill, list[DomainKey]()

    async def started(self: Lifecycle, key: DomainKey) -> bool:
        if others_start_it:
            await start(self, key)
        return await start(self, key)

    async def kept(self: Lifecycle, key: DomainKey) -> None:
        killed.append(key)
        await kill(self, key)

    async def silent(_lists: AppLists, _key: DomainKey) -> None:
        raise GuestError("no guest agent answers")

    monkeypatch.setattr(Lifecycle, "start", started)
    monkeypatch.setattr(Lifecycle, "kill", kept)
    monkeypatch.setattr(AppLists, "refresh", silent)
    assert main(["-c", uri, "domain-00002"]) == 1
    assert "no guest agent answers" in capsys.readouterr().err
    assert len(killed) == (0 if others_start_it else 1)
