"""How a guest has its services run."""

from pathlib import Path

import pytest

from qubes_manager.guest.crossing.handlers import NoHandler, find_handler
from qubes_manager.guest.crossing.service_settings import BadSettings, ServiceSettings, read_settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where settings lie."""
    return tmp_path


def test_what_is_set_is_read_as_qubes_reads_it(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = folder / "test.Service"
    path.write_text("# mine\n\nforce-user = 'backup'\nwait-for-session=1\nexit-on-client-eof = true # of sockets\n")
    assert read_settings(path) == ServiceSettings("backup", True)
    assert "exit-on-client-eof is for services that are sockets" in caplog.text


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("force_user='backup'", "there is no setting force_user"),
        ("force-user=backup", "single quotes"),
        ("force-user=''", "single quotes"),
        ('force-user="backup"', "no name=value"),
        ("wait-for-session=yes", "true or false"),
        ("exit-on-client-eof=1", "true or false"),
        ("wait-for-session", "no name=value"),
        ("wait-for-session=true more", "no name=value"),
        ("wait-for-session=true\nwait-for-session=true", "twice"),
        ("\xff", ":1: this is no"),
    ],
    ids=range(10),
)
def test_what_is_wrong_is_said_by_its_line_and_nothing_is_served(line: str, fault: str, folder: Path) -> None:
    (folder / "qubes.VMShell").write_text(f"{line}\n")
    with pytest.raises(BadSettings, match=r"qubes\.VMShell:[12]: ") as raised:
        read_settings(folder / "qubes.VMShell")
    assert fault in str(raised.value)
    with pytest.raises(NoHandler, match=r"the settings of qubes\.VMShell in this domain are broken"):
        find_handler("qubes.VMShell", "", [], [folder])


def test_settings_for_an_argument_come_before_those_for_all(folder: Path) -> None:
    (folder / "test.Service").write_text("force-user='all'\n")
    (folder / "test.Service+one").write_text("force-user='one'\nwait-for-session=true\n")
    services = folder / "services"
    services.mkdir()
    (services / "test.Service").touch()
    assert find_handler("test.Service", "two", [services], [folder]).user == "all"
    handler = find_handler("test.Service", "one", [services], [folder])
    assert (handler.user, handler.waits_for_session) == ("one", True)


def test_a_service_of_ours_waits_for_the_session_unless_it_is_set_otherwise(folder: Path) -> None:
    assert find_handler("qubes.OpenURL", "", [], [folder]).waits_for_session
    (folder / "qubes.OpenURL").write_text("wait-for-session=false\n")
    assert not find_handler("qubes.OpenURL", "", [], [folder]).waits_for_session
