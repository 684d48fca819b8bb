"""Whether a domain answers by our tools or by its agent."""

import asyncio
from dataclasses import replace

import libvirt
import libvirt_qemu
import pytest

from qubes_manager.core.crossing.services import FILECOPY
from qubes_manager.core.domain import UNREAD, Domain, DomainKey, DomainState
from qubes_manager.core.errors import GuestError
from qubes_manager.services.broker.files import reach
from qubes_manager.services.broker.known_domains import KnownDomains
from qubes_manager.services.hosts.store import DomainStore
from tests.services.broker.conftest import key_of
from tests.services.broker.files.conftest import Copying
from tests.waiting import soon


class LateStore(DomainStore):
    """A store in which no domain's XML has been read at the first look."""

    def __init__(self, store: DomainStore) -> None:
        super().__init__()
        self._read = store
        self._looks = 0

    def get(self, key: DomainKey) -> Domain | None:
        self._looks += 1
        domain = self._read.require(key)
        if self._looks > 1:
            return domain
        asyncio.get_running_loop().call_soon(self.put, [domain])
        return replace(domain, config=UNREAD)


async def test_a_domain_whose_configuration_has_not_come_yet_is_not_taken_for_one_without_tools(
    copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = await copying.guest("work")
    store = LateStore(copying.crossing.services.store)
    parts = copying.crossing.broker
    monkeypatch.setattr(parts.reach, "_known", KnownDomains(key_of(work.guest).connection, store))
    assert await parts.receiving.stand_in(key_of(work.guest), FILECOPY) is None


async def test_a_guest_where_nothing_answers_is_said_so(copying: Copying, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_arguments: object) -> str:
        error = libvirt.libvirtError("no agent")
        error.err = (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, 0, "no agent", 0, "", "", "", 0, 0)
        raise error

    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", silent)
    monkeypatch.setattr(reach, "START_PATIENCE", 0.3)
    plain = await copying.crossing.guest("plain", begin=False)
    with pytest.raises(GuestError, match="neither our tools nor a guest agent answer in “plain”"):
        await copying.copy("", plain.uuid, copying.file("a"))


async def test_a_guest_that_stops_while_it_is_waited_for_is_given_up_at_once(
    copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    crossing = copying.crossing
    looks = asyncio.Event()

    async def silent(_key: DomainKey) -> bool:
        looks.set()
        return False

    monkeypatch.setattr(crossing.broker.reach._commands, "answers", silent)
    plain = await crossing.guest("plain", begin=False)
    waiting = asyncio.create_task(crossing.broker.reach.has_tools(key_of(plain)))
    await looks.wait()
    crossing.put(plain, DomainState.HALTED)
    async with soon():
        with pytest.raises(GuestError, match="“plain” has stopped"):
            await waiting
