"""Whether the target of a call runs, or may be started."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from qubes_manager.core.crossing.guest_messages import (
    REFUSED,
    Ended,
)
from qubes_manager.core.domain import DomainKey, DomainState
from qubes_manager.core.pauses import Pause
from qubes_manager.services.crossing.audit import Outcome
from qubes_manager.services.disposables.disposables import Disposables
from tests.services.broker.conftest import Crossing, key_of


async def test_a_call_does_not_let_a_domain_go_on_that_the_user_has_paused(crossing: Crossing) -> None:
    work, vault = await crossing.guest("work"), await crossing.guest("vault")
    paused = crossing.services.store.require(key_of(vault))
    crossing.services.store.put([replace(paused, state=DomainState.PAUSED, pause=Pause.USER)])
    await work.ask(1, "my.Service", "vault")
    ended = await work.hear(Ended)
    assert (ended.code, ended.reason) == (REFUSED, "“vault” was paused by the user, and goes on when he lets it")


async def test_a_guest_has_only_so_many_disposables_made(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qubes_manager.services.broker.lineage.MOST", 1)
    work, base, made = [await crossing.guest(name) for name in ("work", "base", "disp1")]
    domain = crossing.services.store.require(key_of(base))
    config = replace(domain.config, template_for_dispvms=True)
    crossing.services.store.put([replace(domain, config=config)])
    crossing.let("my.Service * @anyvm @dispvm:base allow\n")

    @asynccontextmanager
    async def new(*_words: object, begun: Callable[[DomainKey], None], **_options: object) -> AsyncIterator[DomainKey]:
        begun(key_of(made))
        yield key_of(made)

    monkeypatch.setattr(Disposables, "new", lambda _self, *words, **options: new(*words, **options))
    await work.ask(1, "my.Service", "@dispvm:base")
    await made.started()
    await work.ask(2, "my.Service", "@dispvm:base")
    ended = await work.hear_until(Ended)
    reason = "1 disposables run already that this domain has had made: close some first"
    assert (ended.call, ended.code, ended.reason) == (2, REFUSED, reason)
    assert (crossing.decisions()[-1].outcome, crossing.decisions()[-1].reason) == (Outcome.REFUSED, reason)
