"""What domains want, in plain words."""

import pytest

from qubes_manager.core.crossing.service_words import service_title, wish


@pytest.mark.parametrize(
    ("service", "argument", "count", "size", "words"),
    [
        ("qubes.Filecopy", "", 3, 3 << 20, "copy 3 files (3.0 MiB) to another domain"),
        ("qubes.Filecopy", "", 1, 0, "copy a file to another domain"),
        ("qubes.Filecopy", "", 0, 0, "copy files to another domain"),
        ("qubes.OpenInVM", "", 1, 512, "open a file (512 B) in another domain"),
        ("qubes.StartApp", "firefox", 0, 0, "start “firefox” in another domain"),
        ("qubes.StartApp", "", 0, 0, "start an application in another domain"),
        ("qubes.ConnectTCP", "22", 0, 0, "connect to port 22 of another domain"),
        ("my.Backup", "full", 0, 0, "use the service “my.Backup” of another domain"),
    ],
)
def test_a_wish_says_what_and_how_much(service: str, argument: str, count: int, size: int, words: str) -> None:
    assert wish(service, argument, count, size) == words


def test_a_service_that_is_not_known_has_its_own_name() -> None:
    assert service_title("qubes.OpenURL") == "Open links"
    assert service_title("*") == "Any service"
    assert service_title("my.Backup") == "my.Backup"
