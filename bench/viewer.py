"""Measures the viewer of windows against a real display server on this machine, without guests.

Usage: python -m bench.viewer [--beside TREE], another version's tree, whose viewer is measured in the same run. The
last one with xpra's own client: git worktree add --detach TREE 602f7ce^ (it needs Debian 12's xpra on the host).
"""

import argparse
import compileall
import contextlib
import functools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import qubes_manager
from bench import figures
from bench.eye import Eye
from qubes_manager.core.gui_rules import GuiRules
from tests.desktops.desktop import Box
from tests.desktops.x11 import X11Desktop
from tests.native_guest import NativeGuest
from tests.native_viewer import NativeViewer

STARTS, KEYS = 7, 40
ROUNDS = 3
SECONDS, IDLE_SECONDS = 5.0, 30.0
# Of three domains.
WINDOWS = (4, 3, 3)
# Prints how another tree runs its viewer of windows.
HOW = """
import json, os
from qubes_manager.backend.viewers.programs import WINDOWS
from qubes_manager.backend.viewers.sandbox import gtk_command
print(json.dumps(gtk_command(WINDOWS, (), os.environ).words))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.viewer")
    parser.add_argument("--beside", type=Path, metavar="TREE", help="another version's tree, measured in the same run")
    beside = parser.parse_args().beside
    # As an installed package has it.
    compileall.compile_dir(Path(qubes_manager.__file__).parent, quiet=2)
    folder = Path(tempfile.mkdtemp(prefix="qm-bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    desktop = X11Desktop(folder)
    try:
        if beside:
            measure(Bench(desktop, "the other", command_of(beside, desktop)))
        measure(Bench(desktop, "ours"))
    finally:
        desktop.close()
        shutil.rmtree(folder, ignore_errors=True)


def command_of(tree: Path, desktop: X11Desktop) -> list[str]:
    """How another tree runs its viewer, but for the last word, which is a socket's number."""
    done = subprocess.run(
        [sys.executable, "-c", HOW], cwd=tree, env=desktop.environment, stdout=subprocess.PIPE, check=True
    )
    words: list[str] = json.loads(done.stdout)
    return words


class Bench:
    """A viewer, and where it is tried."""

    def __init__(self, desktop: X11Desktop, name: str, command: list[str] | None = None) -> None:
        self.desktop, self.name, self.command = desktop, name, command
        self.say = functools.partial(figures.say, name)

    @contextlib.contextmanager
    def guest(self) -> Iterator[NativeGuest]:
        """A guest's display."""
        guest = NativeGuest(Path(tempfile.mkdtemp(prefix="guest-", dir=self.desktop.folder)))
        try:
            yield guest
        finally:
            guest.close()

    @contextlib.contextmanager
    def viewer(self, guest: NativeGuest, domain: str = "work") -> Iterator[NativeViewer]:
        """A viewer that shows a guest's session."""
        # Older ones know nothing of what a guest's bridge says.
        connection = guest.connect(tells=self.command is None)
        log = self.desktop.folder / f"{self.name}.log"
        viewer = NativeViewer(
            self.desktop, connection, GuiRules(domain, "#3465a4"), program="gui_program", log=log, command=self.command
        )
        try:
            wait_for(lambda: viewer.events or not viewer.is_running)
            viewer.until_connected()
            yield viewer
        finally:
            viewer.close()

    def terminal(self, guest: NativeGuest, title: str, command: str = "exec cat", domain: str = "work") -> str:
        """A terminal's window that is seen."""
        guest.terminal(title, command)
        window = self.desktop.window(f"[{domain}] {title}")
        self.desktop.raise_window(window)
        return window


def measure(bench: Bench) -> None:
    """All figures of one viewer."""
    with bench.guest() as guest:
        starting(bench, guest)
        with bench.viewer(guest) as viewer:
            eye = Eye(bench.desktop.environment["DISPLAY"])
            keys(bench, guest, eye)
            scrolling(bench, guest, viewer, eye)
            eye.close()
        with bench.viewer(guest) as viewer:
            bench.terminal(guest, "alone")
            remembering(bench, guest, viewer)
    with contextlib.ExitStack() as open_things:
        several(bench, open_things)


def starting(bench: Bench, guest: NativeGuest) -> None:
    """How long a viewer takes until it has a session: in all, without waits for a processor, and of its time."""
    walls, alone, busy = [], [], []
    for _ in range(STARTS):
        start = time.perf_counter()
        with bench.viewer(guest) as viewer:
            walls.append(time.perf_counter() - start)
            alone.append(walls[-1] - queued(viewer.processes()))
            busy.append(used(viewer.processes()))
    wall, free, busiest = (1000 * statistics.median(times) for times in (walls, alone, busy))
    bench.say("start until it shows a session", wall, "ms", f"median of {STARTS} (goal: 400)")
    bench.say("the same without waits for a processor", free, "ms", "of which a busy machine has more")
    bench.say("processor time of a start", busiest, "ms")


def remembering(bench: Bench, guest: NativeGuest, viewer: NativeViewer) -> None:
    """Memory for one window. The guest's end has gone by then: on a real host no guest shares its libraries."""
    time.sleep(2)
    guest.vanish()
    processes = viewer.processes()
    memory = sum(held(pid, "Pss") for pid in processes) / 1e6
    bench.say("memory with one terminal", memory, "MB", "unshared and its part of shared (PSS); goal: half of xpra’s")
    alone = sum(held(pid, "Private_Clean") + held(pid, "Private_Dirty") for pid in processes) / 1e6
    bench.say("of that, unshared", alone, "MB", "what other programs share at this moment is not there")


def several(bench: Bench, open_things: contextlib.ExitStack) -> None:
    """What windows of several domains cost while nothing happens."""
    guests = [open_things.enter_context(bench.guest()) for _ in WINDOWS]
    domains = [f"domain{number}" for number in range(len(WINDOWS))]
    viewers = [open_things.enter_context(bench.viewer(*pair)) for pair in zip(guests, domains, strict=True)]
    for guest, domain, windows in zip(guests, domains, WINDOWS, strict=True):
        for number in range(windows):
            bench.terminal(guest, f"idle {number}", domain=domain)
    time.sleep(3)
    processes = [process for viewer in viewers for process in viewer.processes()]
    before = used(processes)
    time.sleep(IDLE_SECONDS)
    what = f"{sum(WINDOWS)} windows of {len(WINDOWS)} domains"
    bench.say(f"{what}, idle", 100 * (used(processes) - before) / IDLE_SECONDS, "% of a core", "(goal: 0.2)")
    for guest in guests:
        guest.vanish()
    bench.say(f"{what}, memory", sum(held(pid, "Pss") for pid in processes) / 1e6, "MB", "of all three together (PSS)")


def inner(bench: Bench, window: str) -> Box:
    box = bench.desktop.box(window)
    return Box(box.x + 8, box.y + 8, min(box.width, 480) - 16, min(box.height, 300) - 16)


def keys(bench: Bench, guest: NativeGuest, eye: Eye) -> None:
    """The way of a key to the screen."""
    box = inner(bench, bench.terminal(guest, "keys"))
    time.sleep(1)
    found = []
    for _ in range(KEYS):
        before = eye.look(box)
        start = time.perf_counter()
        eye.press("x")
        wait_for(lambda before=before: eye.look(box) != before, 20)  # type: ignore[misc]
        found.append(time.perf_counter() - start)
        time.sleep(0.15)
    found.sort()
    worst = 1000 * found[int(0.9 * KEYS)]
    bench.say(
        "key to the screen", 1000 * statistics.median(found), "ms", f"median of {KEYS}, nine of ten in {worst:.0f} ms"
    )
    guest.clear()


def scrolling(bench: Bench, guest: NativeGuest, viewer: NativeViewer, eye: Eye) -> None:
    """Pictures a second of a terminal that scrolls, and what they cost."""
    box = inner(bench, bench.terminal(guest, "scrolling", "while :; do seq 100; done"))
    time.sleep(2)
    rates = []
    processes = viewer.processes()
    before = used(processes)
    for _ in range(ROUNDS):
        last, count = b"", 0
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            now = eye.look(box)
            count += now != last
            last = now
            time.sleep(1 / 120)
        rates.append(count / SECONDS)
    cost = 100 * (used(processes) - before) / (ROUNDS * SECONDS)
    bench.say("a terminal that scrolls", statistics.median(rates), "pictures/s", f"for {cost:.0f} % of a core")
    guest.clear()


def wait_for(check: Callable[[], object], timeout: float = 60) -> None:
    """Wait until *check* holds, looking a thousand times a second; raises TimeoutError."""
    end = time.perf_counter() + timeout
    while not check():
        if time.perf_counter() > end:
            raise TimeoutError
        time.sleep(0.001)


def used(processes: Iterable[int]) -> float:
    """Seconds of processor time that processes have used so far (fields 14 and 15 of proc_pid_stat(5))."""
    ticks = 0
    for pid in processes:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def queued(processes: Iterable[int]) -> float:
    """Seconds for which processes could have run and had no processor (/proc/PID/schedstat)."""
    threads = (thread for pid in processes for thread in Path(f"/proc/{pid}/task").iterdir())
    return sum(int((thread / "schedstat").read_text().split()[1]) for thread in threads) / 1e9


def held(pid: int, what: str) -> int:
    """Bytes of a process in memory, by a word of proc_pid_smaps(5)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{what}:"))


if __name__ == "__main__":
    main()
