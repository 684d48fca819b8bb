"""A virtual desktop on which domains' windows are shown by the real programs, and looked at as a person would."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from tests.screen import FAILED, PICTURES, Screen

COMMANDS = Path(sys.executable).parent
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Box:
    """Where a window's inside lies on the screen."""

    x: int
    y: int
    width: int
    height: int


class Desk:
    """Commands run here have their own home, and come to this screen."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.uri = uri
        self.folder = folder
        self.screen = Screen(folder)
        places = {name: str(folder / name) for name in ("config", "state", "data", "cache")}
        self.environment = {
            **self.screen.environment,
            **{f"XDG_{name.upper()}_HOME": place for name, place in places.items()},
            "HOME": str(folder),
        }
        self.data, self.config, self.state = (folder / name for name in ("data", "config", "state"))

    def run(self, *words: object, timeout: float = 240, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of ours as a user would type it."""
        command, *rest = map(str, words)
        done = subprocess.run(
            [COMMANDS / command, *rest],
            env={**self.environment, "QUBES_MANAGER_URI": self.uri},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, (words, done.stderr)
        return done

    # Seeing.

    def tool(self, *words: str) -> str:
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False).stdout

    def windows(self, title: str) -> list[str]:
        """The windows whose title starts with *title*, by their X numbers, as far as they are on the screen."""
        lines = (line.split(None, 4) for line in self.tool("wmctrl", "-lp").splitlines())
        return [str(int(parts[0], 16)) for parts in lines if len(parts) == 5 and parts[4].startswith(title)]

    def titles(self) -> list[str]:
        lines = (line.split(None, 4) for line in self.tool("wmctrl", "-lp").splitlines())
        return [parts[4] for parts in lines if len(parts) == 5]

    def box(self, window: str) -> Box:
        # xdotool counts the frame twice.
        lines = dict(line.split(": ", 1) for line in self.tool("xwininfo", "-id", window).splitlines() if ": " in line)
        values = {name.strip(): value.strip() for name, value in lines.items()}
        names = ("Absolute upper-left X", "Absolute upper-left Y", "Width", "Height")
        return Box(*(int(values[name]) for name in names))

    def picture(self, name: str = "") -> Image.Image:
        """What the screen shows; kept under *name* when it is given."""
        path = PICTURES / f"{name}.png" if name else self.folder / "screen.png"
        self.screen.picture(path)
        return Image.open(path).convert("RGB")

    def colours(self, area: tuple[int, int, int, int]) -> set[Colour]:
        """All colours of an area of the screen (left, top, right, bottom)."""
        return _colours(self.picture().crop(area))

    def border(self, window: str, width: int = 6) -> set[Colour]:
        """All colours in a window's border."""
        self.raise_window(window)
        time.sleep(0.3)
        box, picture = self.box(window), self.picture()
        left, top, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
        strips = [
            (left, top, right, top + width),
            (left, bottom - width, right, bottom),
            (left, top, left + width, bottom),
            (right - width, top, right, bottom),
        ]
        return {colour for strip in strips for colour in _colours(picture.crop(strip))}

    def until(self, check: Callable[[], object], what: str, timeout: float = 60) -> None:
        """Wait until *check* holds."""
        end = time.monotonic() + timeout
        while not check():
            if time.monotonic() > end:
                self.picture(FAILED)
                pytest.fail(f"not within {timeout} s: {what}\n{self.titles()}\n{self.logs()}")
            time.sleep(0.2)

    def window(self, title: str, timeout: float = 60) -> str:
        """Wait for a window and return its number."""
        self.until(lambda: self.windows(title), f"a window {title!r}", timeout)
        return self.windows(title)[-1]

    def logs(self) -> str:
        """The ends of what the programs logged."""
        return "\n".join(path.read_text()[-1500:] for path in sorted(self.state.rglob("*.log")))

    def processes(self, part: str) -> list[int]:
        """Processes of this desk whose command line has *part*."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = path.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
                if part in words and self._is_mine(path):
                    found.append(int(path.name))
            except OSError:
                continue
        return found

    def _is_mine(self, path: Path) -> bool:
        # In the sandbox the home is another one.
        variables = path.joinpath("environ").read_bytes().split(b"\0")
        wanted = (f"HOME={self.folder}", f"DISPLAY={self.environment['DISPLAY']}")
        return any(word.encode() in variables for word in wanted)

    # Acting.

    def raise_window(self, window: str) -> None:
        self.tool("xdotool", "windowactivate", "--sync", window)

    def keys(self, *keys: str) -> None:
        self.tool("xdotool", "key", "--delay", "40", *keys)

    def type(self, text: str) -> None:
        self.tool("xdotool", "type", "--delay", "20", text)

    def close(self) -> None:
        """End the service with its viewers, by process id, and the screen."""
        for pid in self.processes("qubes_manager gui"):
            os.kill(pid, signal.SIGTERM)
        self.until(lambda: not self.processes("qubes_manager gui"), "the service ends", 20)
        self.until(lambda: not self.processes("qubes_manager.viewers"), "the viewers end", 20)
        self.screen.close()


def _colours(picture: Image.Image) -> set[Colour]:
    """All colours of an RGB picture."""
    data = picture.tobytes()
    return set(zip(data[::3], data[1::3], data[2::3], strict=True))
