"""Which domains are heard, and what is said of it."""

import pytest

from qubes_manager.core.domain import DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.hardware import SoundDevice
from qubes_manager.core.sound import HEARD, PLAYING, SILENT, can_be_heard, is_heard, sound_text
from tests.build import domain

HERE, SYSTEM = "qemu:///session", "qemu:///system"
PLAYS = SoundDevice(PLAYING, "unix:/run/user/1000/pulse/native")
APP = DomainClass.APP


@pytest.mark.parametrize(
    ("klass", "audiovm", "heard"),
    [
        (DomainClass.APP, "", True),
        (DomainClass.DISPOSABLE, "", True),
        (DomainClass.TEMPLATE, "", False),
        (DomainClass.STANDALONE, "", False),
        (DomainClass.APP, SILENT, False),
        (DomainClass.TEMPLATE, HEARD, True),
        (DomainClass.APP, "sys-audio", False),
    ],
)
def test_appvms_and_disposables_are_heard_until_it_is_said_otherwise(
    klass: DomainClass, audiovm: str, heard: bool
) -> None:
    assert is_heard(domain(config=DomainConfig(klass=klass, audiovm=audiovm))) is heard


@pytest.mark.parametrize(
    ("uri", "possible"),
    [
        (HERE, True),
        ("qemu+unix:///session?socket=/run/x", True),
        (SYSTEM, False),
        ("qemu+ssh://host/session", False),
        ("qemu+ssh:///session", False),
        ("test:///default", False),
        ("", False),
    ],
)
def test_only_what_runs_as_the_user_reaches_the_users_sound_server(uri: str, possible: bool) -> None:
    assert can_be_heard(uri) is possible


@pytest.mark.parametrize(
    ("uri", "state", "config", "text"),
    [
        (HERE, DomainState.RUNNING, DomainConfig(klass=APP, sound=PLAYS), "on"),
        (HERE, DomainState.RUNNING, DomainConfig(klass=APP, sound=PLAYS, muted=True), "muted"),
        (
            HERE,
            DomainState.RUNNING,
            DomainConfig(klass=APP, sound=PLAYS, audiovm=SILENT),
            "on, off from the next start on",
        ),
        (HERE, DomainState.RUNNING, DomainConfig(klass=APP, sound=SoundDevice(SILENT)), "none in this run: no sound"),
        (HERE, DomainState.RUNNING, DomainConfig(klass=APP), "none in this run: no sound"),
        (HERE, DomainState.HALTED, DomainConfig(klass=APP), "on"),
        (HERE, DomainState.HALTED, DomainConfig(klass=APP, muted=True), "muted"),
        (SYSTEM, DomainState.HALTED, DomainConfig(klass=APP), "none: QEMU does not run as the user"),
        (HERE, DomainState.HALTED, DomainConfig(klass=DomainClass.TEMPLATE), ""),
        (HERE, DomainState.RUNNING, DomainConfig(sound=SoundDevice("spice")), "played by spice"),
    ],
    ids=range(10),
)
def test_what_becomes_of_its_sound_is_said(uri: str, state: DomainState, config: DomainConfig, text: str) -> None:
    said = sound_text(domain(key=DomainKey(uri, "1"), state=state, config=config))
    assert said.startswith(text) and bool(said) is bool(text)
