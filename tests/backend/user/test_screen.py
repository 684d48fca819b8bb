"""The screen is known by X's name of it, and where there is no X by Wayland's."""

import pytest

from qubes_manager.backend.user.screen import screen_name


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"DISPLAY": ":0"}, ":0"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, ":0"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "wayland-0"),
        ({"DISPLAY": "", "WAYLAND_DISPLAY": "wayland-0"}, "wayland-0"),
        ({}, ""),
    ],
)
def test_what_names_the_screen(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], name: str) -> None:
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert screen_name() == name
