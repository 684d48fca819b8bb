"""KDE's desktop on Wayland: KWin, whose own scripts tell of windows and handle them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.desktops.desktop import Box, Desktop
from tests.desktops.nested import SIZE, NestedDisplay
from tests.waiting import wait_until

# The scale of its screen, between whole numbers as laptops have it.
SCALE = 1.25
# What a script is told to say, so that one finds it in the log.
TELL = """
print("{mark} " + JSON.stringify(workspace.clientList().map(c => ({{
  number: c.internalId.toString(), title: c.caption, active: c.active, full: c.fullScreen,
  inner: [c.bufferGeometry.x, c.bufferGeometry.y, c.bufferGeometry.width, c.bufferGeometry.height],
}}))));
"""
# Windows of a guest are whole pixels large, and are to be at whole pixels.
ALIGN = """
workspace.clientAdded.connect(c => {{
  const on = at => Math.round(at / {pixels}) * {pixels};
  const [x, y] = [on(c.bufferGeometry.x), on(c.bufferGeometry.y)];
  c.frameGeometry = {{
    x: c.x + x - c.bufferGeometry.x, y: c.y + y - c.bufferGeometry.y, width: c.width, height: c.height,
  }};
}});
print("{mark} runs");
"""
ALIGNING = "align"
ACT = "workspace.clientList().filter(c => c.internalId.toString() == {window}).forEach(c => {{ {act} }});"


class KwinDesktop(NestedDisplay, Desktop):
    """Windows are known by KWin's internal numbers."""

    # In a window of X11 it takes no others.
    buttons = (1, 2)

    def __init__(self, folder: Path) -> None:
        # The installed program has rights of its own, which not every machine lets it have.
        program = str(shutil.copy(shutil.which("kwin_wayland") or "", folder))
        size = [word for n, side in zip(("--width", "--height"), SIZE, strict=True) for word in (n, str(side / SCALE))]
        size = [word.removesuffix(".0") for word in size]
        options = ["--no-lockscreen", "--no-global-shortcuts", "--no-kactivities", "--socket", self.NAME]
        super().__init__(
            folder,
            [program, "--scale", str(SCALE), *size, *options],
            {"KWIN_COMPOSE": "Q", "QT_LOGGING_RULES": "js.*=true"},
        )
        self.environment["XDG_CURRENT_DESKTOP"] = "KDE"
        self._scripts = 0
        self._until(lambda: self._call("/Scripting", "org.freedesktop.DBus.Peer.Ping"), "KWin answers")
        self._until(self._aligns, "it aligns windows")

    def layout(self, name: str, options: str = "") -> None:
        super().layout(name, options)
        settings = Path(self.screen.environment["XDG_RUNTIME_DIR"], ".config/kxkbrc")
        settings.parent.mkdir(exist_ok=True)
        settings.write_text(f"[Layout]\nUse=true\nLayoutList={name}\nResetOldOptions=true\nOptions={options}\n")
        words = ("--object-path", "/Layouts", "--signal", "org.kde.keyboard.reloadConfig")
        self.tool("gdbus", "emit", "--session", *words)

    def _call(self, place: str, method: str, *arguments: str) -> str:
        """What KWin answers on the session's bus; nothing when it does not."""
        words = ("gdbus", "call", "--session", "--dest", "org.kde.KWin", "--object-path", place, "--method", method)
        return self.tool(*words, *arguments)

    def _until(self, check: Callable[[], object], what: str) -> None:
        """Wait until *check* holds, without a look at windows."""
        wait_until(check, lambda: f"not in time: {what}\n{self.log.read_text()[-1000:]}")

    def _run(self, script: str, *, stays: bool = False) -> None:
        """Have KWin run a script, which *stays* when it waits for events."""
        self._scripts += 1
        path = self.folder / f"script-{self._scripts}.js"
        path.write_text(script)
        number = self._call("/Scripting", "org.kde.kwin.Scripting.loadScript", str(path)).strip("(,)\n")
        self._call(f"/{number}", "org.kde.kwin.Script.run")
        if not stays:
            self._call("/Scripting", "org.kde.kwin.Scripting.unloadScript", str(path))
            path.unlink()

    def _aligns(self) -> bool:
        """Whether the script runs, of which KWin may take no notice while it starts; more than one do no harm."""
        self._run(ALIGN.format(pixels=round(1 / (SCALE % 1)), mark=ALIGNING), stays=True)
        return bool(self._lines(ALIGNING))

    def _told(self) -> dict[str, dict[str, Any]]:
        """What KWin says of each window."""
        mark = f"told-{self._scripts}"
        self._run(TELL.format(mark=mark))
        self._until(lambda: self._lines(mark), "it tells of its windows")
        return {window["number"]: window for window in json.loads(self._lines(mark)[-1].partition(mark)[2])}

    def _lines(self, mark: str) -> list[str]:
        return [line for line in self.log.read_text(errors="replace").splitlines() if f"{mark} " in line]

    def _act(self, window: str, act: str) -> None:
        self._run(ACT.format(window=json.dumps(window), act=act))

    # Seeing.

    def named(self) -> dict[str, str]:
        return {number: window["title"] for number, window in self._told().items()}

    def box(self, window: str) -> Box:
        x, y, width, height = self._told()[window]["inner"]
        # KWin shows a part of a pixel as a whole one from half of it on.
        left, top, right, bottom = (int(value * SCALE + 0.5) for value in (x, y, x + width, y + height))
        return Box(left, top, right - left, bottom - top)

    def is_fullscreen(self, window: str) -> bool:
        return bool(self._told()[window]["full"])

    def focused(self) -> str:
        return next((number for number, window in self._told().items() if window["active"]), "")

    # Acting.

    def raise_window(self, window: str) -> None:
        self._act(window, "workspace.activeClient = c;")

    def move(self, window: str, x: int, y: int) -> None:
        place = ", ".join(f"{n}: {at / SCALE} + c.{n} - c.bufferGeometry.{n}" for n, at in (("x", x), ("y", y)))
        self._act(window, f"c.frameGeometry = {{{place}, width: c.width, height: c.height}};")

    def resize(self, window: str, width: int, height: int) -> None:
        sides = ((width, "width"), (height, "height"))
        size = ", ".join(f"{n}: {side / SCALE} + c.{n} - c.bufferGeometry.{n}" for side, n in sides)
        self._act(window, f"c.frameGeometry = {{x: c.x, y: c.y, {size}}};")

    def close_window(self, window: str) -> None:
        self._act(window, "c.closeWindow();")

    def set_fullscreen(self, window: str, wanted: bool) -> None:
        self._act(window, f"c.fullScreen = {json.dumps(wanted)};")
