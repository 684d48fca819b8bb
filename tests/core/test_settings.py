"""The rules of the settings file."""

import pytest

from qubes_manager.core.settings import Settings, parse_settings


@pytest.mark.parametrize(
    ("data", "part"),
    [
        ({"colour": 1}, "'colour' cannot be used; use only appearance"),
        ({"appearance": "loud"}, "use one of system, light, dark"),
        ({"window_width": True}, "window_width"),
        ({"window_width": 5}, "give 100 to 20000 pixels"),
        ({"connections": "x"}, "give a list"),
        ({"columns": [{"id": "name"}]}, "each entry has id, width and visible"),
    ],
)
def test_bad_settings_name_the_key_and_what_is_allowed(data: object, part: str) -> None:
    troubles: list[str] = []
    assert parse_settings(data, troubles.append) == Settings()
    assert len(troubles) == 1 and part in troubles[0]


def test_no_settings_are_the_defaults() -> None:
    assert parse_settings(None) == Settings()
