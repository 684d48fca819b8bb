"""What nobody asked for is told once, and taken back when it is over."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import qasync
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from qubes_manager.backend.guests.guest_tools import tools_digest
from qubes_manager.core.domain import TOOLS_FEATURE, Domain, DomainClass, DomainConfig, DomainState
from qubes_manager.core.hardware import Disk
from qubes_manager.core.pauses import DiskError, Pause
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.ui.feedback.domain_notices import DomainNotices, notice_of
from qubes_manager.ui.feedback.message_bar import MessageBar
from tests.build import domain
from tests.ui.conftest import run
from tests.waiting import until

FULL = domain(state=DomainState.PAUSED, pause=Pause.IO_ERROR, disk_errors=(DiskError("vdb", True),))
TEMPLATE = domain(
    "debian",
    config=DomainConfig(
        klass=DomainClass.TEMPLATE,
        revision=1,
        volumes=(OwnVolume(Role.ROOT, "p", "root@1.qcow2", 1),),
        disks=(Disk("vda", source="/p/root@1.qcow2.TRANSIENT-debian", transient=True),),
    ),
)


def test_a_pause_is_told_with_its_reason_and_goes_with_it(loop: qasync.QEventLoop, qtbot: QtBot) -> None:
    bar, store, chosen = MessageBar(), DomainStore(), list[tuple[str, str]]()
    qtbot.addWidget(bar)

    def trigger(action: str, domains: Sequence[Domain]) -> None:
        chosen.append((action, domains[0].name))

    async def work() -> None:
        DomainNotices(store, bar, trigger)
        store.put([replace(FULL, disk_errors=())])
        await until(lambda: bar.texts == ["“work” is paused: I/O error."])
        store.put([FULL])
        await until(lambda: bar.texts == ["“work” is paused: no space for vdb. Make room on its host, then resume it."])
        # Figures change all the time; nobody is told again, even when the message was put away.
        next(b for b in bar.findChildren(QPushButton) if b.text() == "Resume" and b.isEnabled()).click()
        assert chosen == [("start", "work")]
        store.put([replace(FULL, autostart=True)])
        store.flush()
        assert bar.texts == []
        store.put([domain()])
        store.flush()
        store.put([FULL])
        await until(lambda: bar.texts)
        store.put([domain()])
        await until(lambda: not bar.texts)
        store.put([FULL])
        await until(lambda: bar.texts)
        store.remove([FULL.key])
        await until(lambda: not bar.texts)

    run(loop, work())


def test_a_template_that_others_started_is_told_and_one_that_we_start_is_not(
    loop: qasync.QEventLoop, qtbot: QtBot
) -> None:
    bar, store = MessageBar(), DomainStore()
    qtbot.addWidget(bar)

    async def work() -> None:
        DomainNotices(store, bar, lambda _action, _domains: None)
        # Its state comes a moment before its XML, which says that it runs on a revision of its own.
        store.put([replace(TEMPLATE, name="ours", key=domain("ours").key), TEMPLATE])
        store.flush()
        store.put([replace(TEMPLATE, name="ours", key=domain("ours").key, config=replace(TEMPLATE.config, trial=2))])
        await until(lambda: bar.texts)
        assert bar.texts == [
            "Another program started the template “debian”: its changes are not kept. "
            "Shut it down, and start it here to change it."
        ]

    run(loop, work())


def test_what_somebody_wanted_is_no_news() -> None:
    assert notice_of(domain()) is None
    assert notice_of(domain(state=DomainState.PAUSED, pause=Pause.USER)) is None
    assert notice_of(replace(TEMPLATE, state=DomainState.HALTED)) is None
    told = notice_of(replace(TEMPLATE, state=DomainState.HALTED, autostart=True))
    assert told and (told.action, told.button) == ("autostart", "Turn off autostart")


@pytest.mark.parametrize(
    ("tools", "told"),
    [("", "no guest tools"), ("feed", "older guest tools than this program"), (tools_digest(), "")],
    ids=["none", "older", "current"],
)
def test_a_template_of_ours_without_the_present_guest_tools_is_told(tools: str, told: str) -> None:
    features = (("os-distribution", "debian"), *([(TOOLS_FEATURE, tools)] if tools else []))
    found = replace(TEMPLATE, state=DomainState.HALTED, config=replace(TEMPLATE.config, features=features))
    notice = notice_of(found)
    assert (notice.action if notice else "") == ("update-tools" if told else "")
    assert told in (notice.text if notice else "")
    assert notice_of(replace(found, config=replace(found.config, features=features[1:]))) is None, "who built it knows"
