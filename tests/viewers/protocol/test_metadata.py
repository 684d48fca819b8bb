"""What servers say of windows; what is odd costs its field alone."""

import pytest

from qubes_manager.viewers.protocol.fields import MAX_SIDE
from qubes_manager.viewers.protocol.metadata import metadata
from qubes_manager.viewers.protocol.packets import Metadata, SizeConstraints
from qubes_manager.viewers.wire.rencode import Value


def _read(name: str, value: Value) -> tuple[Metadata, list[str]]:
    dropped: list[str] = []
    return metadata({name.encode(): value}, dropped.append), dropped


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("title", "Grüße".encode(), Metadata(title="Grüße")),
        ("title", b"\xff", Metadata(title="\N{REPLACEMENT CHARACTER}")),
        ("title", b"t" * 5000, Metadata(title="t" * 1024)),
        ("class-instance", [b"xterm", b"XTerm"], Metadata(class_instance=("xterm", "XTerm"))),
        ("window-type", [b"POPUP_MENU", b"X", b"NORMAL"], Metadata(window_types=("POPUP_MENU", "NORMAL"))),
        ("window-type", [b"_NET_WM_WINDOW_TYPE_DIALOG"], Metadata(window_types=("DIALOG",))),
        ("transient-for", 7, Metadata(transient_for=7)),
        ("decorations", 0, Metadata(decorations=False)),
        ("attention-requested", True, Metadata(attention=True)),
        (
            "size-constraints",
            {b"minimum-size": [10, 17], b"maximum-size": [-1, (1 << 31) - 1], b"gravity": 1},
            Metadata(constraints=SizeConstraints(minimum=(10, 17), maximum=(0, MAX_SIDE))),
        ),
        ("client-machine", b"guest", Metadata()),
        ("pid", 17, Metadata()),
    ],
)
def test_a_field_is_read(name: str, value: Value, expected: Metadata) -> None:
    assert _read(name, value) == (expected, [])


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("title", 7, "title"),
        ("class-instance", [b"xterm"], "class_instance"),
        ("class-instance", [b"x", b"y", b"z"], "class_instance"),
        ("window-type", b"NORMAL", "window_types"),
        ("transient-for", -1, "transient_for"),
        ("fullscreen", b"yes", "fullscreen"),
        ("size-constraints", {b"base-size": [1]}, "constraints"),
        ("size-constraints", {b"base-size": [1, 2.5]}, "constraints"),
        ("size-constraints", [1, 2], "constraints"),
    ],
)
def test_an_odd_field_costs_itself_alone(name: str, value: Value, field: str) -> None:
    dropped: list[str] = []
    found = metadata({b"role": b"editor", name.encode(): value}, dropped.append)
    assert found == Metadata(role="editor")
    assert dropped == [field]
