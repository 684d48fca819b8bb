"""A desktop of Wayland: sway without a screen, whose windows all float."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.desktops.desktop import Box, Desktop
from tests.desktops.hands import Hands
from tests.ending import end_program
from tests.waiting import PATIENCE

CONFIG = """
xwayland disable
output HEADLESS-1 mode {width}x{height} position 0 0 bg #303030 solid_color
focus_follows_mouse no
default_floating_border normal
for_window [title=".*"] floating enable
seat seat0 hide_cursor 100
"""
FIRST, SECOND = "HEADLESS-1", "HEADLESS-2"
UNPRIVILEGED = "nobody"


class SwayDesktop(Desktop):
    """Windows are known by the numbers of sway's containers. Sway takes no root: its user is another one then."""

    def __init__(self, folder: Path, size: tuple[int, int] = (1280, 800)) -> None:
        self.folder = folder
        self.size, self.scale = size, 1.0
        # Others have a way to it, and its sockets a short path.
        self._own = Path(tempfile.mkdtemp(prefix="qm-sway-", dir="/var/tmp"))
        self._own.chmod(0o700)
        config = self._own / "config"
        config.write_text(CONFIG.format(width=size[0], height=size[1]))
        user = pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None
        if user:
            for path in (self._own, config):
                os.chown(path, user.pw_uid, user.pw_gid)
        with (folder / "sway.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["sway", "--config", str(config)],
                env={"PATH": os.environ["PATH"], "HOME": str(self._own), "XDG_RUNTIME_DIR": str(self._own), **HEADLESS},
                cwd=self._own,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user and user.pw_uid,
                group=user and user.pw_gid,
                extra_groups=[] if user else None,
            )
        runtime = folder / "runtime"
        runtime.mkdir(mode=0o700, exist_ok=True)
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in ("DISPLAY", "QT_QPA_PLATFORM", "WAYLAND_DISPLAY")},
            "XDG_RUNTIME_DIR": str(runtime),
            "WAYLAND_DISPLAY": str(self._socket("wayland-[0-9]")),
            "SWAYSOCK": str(self._socket("sway-ipc.*.sock")),
            "XDG_CURRENT_DESKTOP": "sway",
            "XDG_SESSION_TYPE": "wayland",
            "QT_QPA_PLATFORM": "wayland",
        }
        self.hands = Hands(Path(self.environment["WAYLAND_DISPLAY"]))

    def _socket(self, name: str) -> Path:
        """Wait for a socket of sway's."""
        end = time.monotonic() + PATIENCE
        while not (found := list(self._own.glob(name))):
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"sway did not start: {(self.folder / 'sway.log').read_text()[-1000:]}")
            time.sleep(0.02)
        return found[0]

    def tool(self, *words: str) -> str:
        """Run a tool on this screen; returns what it prints."""
        return subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        ).stdout

    def ask(self, kind: str) -> Any:
        """What swaymsg tells of one kind of things."""
        return json.loads(self.tool("swaymsg", "-r", "-t", kind))

    def command(self, *words: object) -> None:
        """Have sway do something."""
        self.tool("swaymsg", "--", *map(str, words))

    # Seeing.

    def _nodes(self) -> dict[str, dict[str, Any]]:
        """The windows, oldest first."""
        return {str(node["id"]): node for node in sorted(_leaves(self.ask("get_tree")), key=lambda node: node["id"])}

    def named(self) -> dict[str, str]:
        return {number: node["name"] or "" for number, node in self._nodes().items()}

    def node(self, window: str) -> dict[str, Any]:
        """All that sway tells of a window."""
        return self._nodes()[window]

    def box(self, window: str) -> Box:
        node = self._nodes()[window]
        outer, inner = node["rect"], node["window_rect"]
        place = (outer["x"] + inner["x"], outer["y"] + inner["y"], inner["width"], inner["height"])
        return Box(*(round(number * self.scale) for number in place))

    def is_fullscreen(self, window: str) -> bool:
        return bool(self._nodes()[window]["fullscreen_mode"])

    def focused(self) -> str:
        return next((number for number, node in self._nodes().items() if node["focused"]), "")

    def grab(self, target: Path) -> None:
        self.tool("grim", "-l", "1", str(target))

    # Acting.

    def raise_window(self, window: str) -> None:
        self.command(f"[con_id={window}]", "focus")

    def move(self, window: str, x: int, y: int) -> None:
        left, top, _width, _height = self._frame(window)
        self.command(f"[con_id={window}]", "move", "absolute", "position", *self._units(x, y, -left, -top))

    def resize(self, window: str, width: int, height: int) -> None:
        box, (_left, _top, *more) = self.box(window), self._frame(window)
        self.command(f"[con_id={window}]", "resize", "set", *self._units(width, height, *more))
        # It grows on all sides.
        self.move(window, box.x, box.y)

    def _frame(self, window: str) -> tuple[int, int, int, int]:
        """Sway's own frame: what it takes at the left and the top, and of width and height."""
        node = self._nodes()[window]
        outer, inner, bar = node["rect"], node["window_rect"], node["deco_rect"]["height"]
        return inner["x"], inner["y"] + bar, outer["width"] - inner["width"], outer["height"] - inner["height"] + bar

    def _units(self, x: int, y: int, more_x: int, more_y: int) -> tuple[int, int]:
        """Pixels of the picture as sway counts them, and some of sway's own."""
        return round(x / self.scale) + more_x, round(y / self.scale) + more_y

    def close_window(self, window: str) -> None:
        self.command(f"[con_id={window}]", "kill")

    def set_fullscreen(self, window: str, wanted: bool) -> None:
        self.command(f"[con_id={window}]", "fullscreen", "enable" if wanted else "disable")

    def set_scale(self, scale: float) -> None:
        """Give the screen another scale; its picture stays as large as it is."""
        self.command("output", FIRST, "scale", scale)
        self.scale = scale

    def add_output(self, scale: int) -> int:
        """Plug another screen in for good, right of the first, of another scale; windows open there from now on.

        The picture is of both then, in pixels of the finer one. Returns how far from its left side the other begins.
        """
        width, height = self.size
        self.command("create_output")
        self.command("output", SECOND, "mode", f"{width}x{height}", "position", width, 0, "scale", scale)
        self.command("focus", "output", SECOND)
        self.scale, self.size = scale, (width * scale + width, height * scale)
        return width * scale

    def app_id(self, window: str) -> str:
        """By what name sway groups a window."""
        return str(self._nodes()[window]["app_id"])

    def layout(self, name: str, options: str = "") -> None:
        self.hands.layout(name, options)

    def keys(self, *keys: str) -> None:
        self.hands.keys(*keys)

    def type(self, text: str) -> None:
        self.hands.keys(*(SPELT.get(letter, letter) for letter in text))

    def hold(self, key: str) -> None:
        self.hands.hold(key)

    def let_go(self, key: str) -> None:
        self.hands.let_go(key)

    def point(self, x: int, y: int) -> None:
        self.hands.point(x, y, *self.size)

    def press(self, button: int = 1) -> None:
        self.hands.button(button, True)

    def release(self, button: int = 1) -> None:
        self.hands.button(button, False)

    def close(self) -> None:
        self.hands.close()
        end_program(self._process)
        shutil.rmtree(self._own, ignore_errors=True)


HEADLESS = {"WLR_BACKENDS": "headless", "WLR_RENDERER": "pixman", "WLR_LIBINPUT_NO_DEVICES": "1"}
SPELT = {"\n": "Return", "\t": "Tab", "+": "plus"}


def _leaves(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    children = [*node["nodes"], *node["floating_nodes"]]
    if not children and node["type"] in ("con", "floating_con") and node.get("pid"):
        yield node
    for child in children:
        yield from _leaves(child)
