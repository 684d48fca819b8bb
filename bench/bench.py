"""Measures the manager on the test driver and prints the figures: ``make bench``.

For each number of domains, half of them running: milliseconds from the process's start to ``ready`` beside what
the driver itself needs, CPU while idle with the window visible and minimised, resident memory, and the longest
block of the window's thread while domains change state. The same for virt-manager where it is installed.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.domains import write_domains
from tests.screen import Screen

IDLE_SECONDS = 20
SETTLE_SECONDS = 6
COMMANDS = Path(sys.executable).parent
_FLOOR = """
import sys, time
start = time.perf_counter()
import libvirt
connection = libvirt.open(sys.argv[1])
connection.listAllDomains()
connection.getAllDomainStats()
print(1000 * (time.perf_counter() - start))
"""


def main() -> None:
    """Measure and print."""
    counts = [int(word) for word in sys.argv[1:]] or [1000, 5000]
    with tempfile.TemporaryDirectory(prefix="qm-bench-") as name:
        folder = Path(name)
        screen = Screen(folder)
        try:
            for count in counts:
                uri = f"test://{write_domains(folder / f'{count}.xml', count)}"
                measure_manager(screen, folder, uri, count)
                measure_stall(screen, folder, uri, count)
                if shutil.which("virt-manager"):
                    measure_virt_manager(screen, uri, count)
            measure_listing(folder)
        finally:
            screen.close()


def say(count: int, what: str, figure: float, unit: str, note: str = "") -> None:
    """Print one figure."""
    print(f"{count:>6} domains  {what:<46} {figure:>9.1f} {unit:<10} {note}", flush=True)


def ticks(pid: int) -> float:
    """CPU seconds that a process has used (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_percent(pid: int, seconds: float = IDLE_SECONDS) -> float:
    """Per cent of one core that a process uses over *seconds*."""
    before, start = ticks(pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (ticks(pid) - before) / (time.monotonic() - start)


def resident_mb(pid: int) -> float:
    """Resident memory in MB (10^6 bytes)."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024 / 1e6  # type: ignore[index]


def floor_ms(uri: str) -> float:
    """What the driver needs to open, list and give bulk statistics."""
    run = [sys.executable, "-c", _FLOOR, uri]
    return statistics.median(float(subprocess.run(run, capture_output=True, check=True).stdout) for _ in range(3))


def environment(screen: Screen, folder: Path) -> dict[str, str]:
    """The screen's environment, with settings of its own and without AT-SPI, as most users have it."""
    own = {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("CONFIG", "STATE", "CACHE")}
    return {**screen.environment, **own, "QT_LINUX_ACCESSIBILITY_ALWAYS_ON": "0"}


def start_manager(screen: Screen, folder: Path, uri: str) -> tuple[subprocess.Popen[str], float]:
    """Start the real program and return it with its own figure of ``ready``."""
    process = subprocess.Popen(
        [COMMANDS / "qubes-manager", "--log-level", "info", "--connect", uri],
        env=environment(screen, folder),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    for line in process.stderr:
        if match := re.search(r"ready rows=(\d+) elapsed_ms=(\d+)", line):
            return process, float(match[2])
    raise RuntimeError("the manager ended before it was ready")


def measure_manager(screen: Screen, folder: Path, uri: str, count: int) -> None:
    """Ready, idle CPU and memory of the real program."""
    needed = floor_ms(uri)
    say(count, "libvirt alone: open, list, statistics", needed, "ms")
    starts = []
    for _ in range(2):
        process, ready = start_manager(screen, folder, uri)
        starts.append(ready)
        end(process)
    process, ready = start_manager(screen, folder, uri)
    ready = statistics.median([*starts, ready])
    say(count, "process start to ready", ready, "ms", f"{ready - needed:+.0f} ms over libvirt (goal: 1000)")
    time.sleep(SETTLE_SECONDS)
    say(count, "idle, window visible", cpu_percent(process.pid), "% of core", "(goal at 1,000: 2)")
    say(count, "resident memory", resident_mb(process.pid), "MB")
    window = screen.run("xdotool", "search", "--onlyvisible", "--name", "Qubes Manager").split()[0]
    screen.run("xdotool", "windowminimize", window)
    time.sleep(SETTLE_SECONDS)
    say(count, "idle, window minimised", cpu_percent(process.pid), "% of core", "(goal at 1,000: 0.2)")
    end(process)


def measure_stall(screen: Screen, folder: Path, uri: str, count: int) -> None:
    """Longest block of the window's thread while 500 domains change state."""
    script = Path(__file__).with_name("stall.py")
    done = subprocess.run(
        [sys.executable, script, uri, "500"],
        env={**environment(screen, folder), "PYTHONPATH": str(script.parents[1]), "QT_NO_GLIB": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    say(count, "longest block of the window’s thread", float(done.stdout.split()[-1]), "ms", "(goal: 50)")


def measure_virt_manager(screen: Screen, uri: str, count: int) -> None:
    """The same for virt-manager: time to its window, idle CPU, memory."""
    start = time.monotonic()
    process = subprocess.Popen(
        ["virt-manager", "--no-fork", "-c", uri],
        env={**screen.environment, "GDK_BACKEND": "x11"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not screen.run("xdotool", "search", "--onlyvisible", "--name", "Virtual Machine Manager").split():
        time.sleep(0.05)
    say(count, "virt-manager: start to its (empty) window", 1000 * (time.monotonic() - start), "ms")
    time.sleep(SETTLE_SECONDS + 60 * count / 5000)
    say(count, "virt-manager: idle, window visible", cpu_percent(process.pid), "% of core")
    say(count, "virt-manager: resident memory", resident_mb(process.pid), "MB")
    process.kill()
    process.wait()


def measure_listing(folder: Path) -> None:
    """qvm-ls on 1,000 domains beside virsh list and the interpreter's own start, in turns."""
    uri = f"test://{write_domains(folder / 'listing.xml', 1000)}"
    commands = {
        "qvm-ls": [str(COMMANDS / "qvm-ls"), "-c", uri],
        "virsh list --all": ["virsh", "-c", uri, "list", "--all"],
        "python": [sys.executable, "-c", "pass"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(9):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            times[name].append(1000 * (time.perf_counter() - start))
    middle = {name: statistics.median(found) for name, found in times.items()}
    for name, figure in middle.items():
        say(1000, name, figure, "ms")
    ratio = middle["qvm-ls"] / (middle["virsh list --all"] + middle["python"])
    say(1000, "qvm-ls against virsh and the interpreter’s start", ratio, "times", "(goal: 1.5)")


def end(process: subprocess.Popen[str]) -> None:
    """Close the program as a session's end would."""
    process.terminate()
    process.wait(20)


if __name__ == "__main__":
    main()
