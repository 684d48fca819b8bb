"""Measures application windows: how soon they come, how fast they draw, and what they cost while nothing happens."""

import asyncio
import functools
import statistics
import time
from collections.abc import Callable

from bench import figures
from bench.eye import Eye
from bench.own_host import own_desk
from bench.viewer import held, used
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainClass
from tests.conftest import CACHE
from tests.desk import Desk
from tests.desktops.desktop import Box
from tests.integration.conftest import DEBIAN, World, remove_all

DOMAINS = ("one", "two", "three")
LAUNCHES = 7
KEYS = 20
SECONDS = 8.0
IDLE_SECONDS = 30.0
# Seconds until a guest is given up, which machines with other work to do make slow.
PATIENCE = 600.0


say = functools.partial(figures.say, "gui")


def main() -> None:
    """Measure and print."""
    with own_desk() as (daemon, desk):
        asyncio.run(measure(daemon, desk))


async def measure(daemon: PrivateDaemon, desk: Desk) -> None:
    """All figures, in one run."""
    world = World(daemon.uri)
    world.hosts.follow(daemon.uri)
    await world.until(lambda: world.named("dom0"), "libvirt answers")
    await world.templates.build(world.uri, "debian", DEBIAN, cache=CACHE, memory=1024)
    for name, label in zip(DOMAINS, ("blue", "red", "green"), strict=True):
        request = CreationRequest(name, label, DomainClass.APP, template="debian", memory=1024)
        await world.creation.create(world.uri, request)
    await asyncio.to_thread(desk.run, "qvm-window-prefs", "global", "startup_timeout", round(PATIENCE))
    await asyncio.to_thread(from_halted, desk)
    loop = asyncio.get_running_loop()

    def click() -> None:
        """What the panel does when an application is chosen."""
        key = world.existing(DOMAINS[0]).key
        asyncio.run_coroutine_threadsafe(world.launching.application(key, "debian-xterm"), loop)

    await asyncio.to_thread(from_running, desk, click)
    await asyncio.to_thread(drawing, desk)
    await asyncio.to_thread(idle, desk)
    await remove_all(world)
    await world.hosts.close()


def wait_for(check: Callable[[], object], timeout: float = PATIENCE) -> float:
    """Seconds until *check* holds, looked at a hundred times a second."""
    start = time.perf_counter()
    while not check():
        if time.perf_counter() - start > timeout:
            raise TimeoutError
        time.sleep(0.01)
    return time.perf_counter() - start


def until_window(desk: Desk, name: str, act: Callable[[], object]) -> float:
    """Seconds from *act* to one window more of a domain, mapped on the screen."""
    before = len(desk.windows(f"[{name}]"))
    start = time.perf_counter()
    act()
    wait_for(lambda: len(desk.windows(f"[{name}]")) > before)
    return time.perf_counter() - start


def open_terminal(desk: Desk, name: str) -> None:
    """Start a terminal in a domain, by the desktop's own entry for it."""
    desk.run("qubes-manager", "run", name, "debian-xterm", timeout=PATIENCE)


def from_halted(desk: Desk) -> None:
    """A click on an application of a halted domain, against its boot alone."""
    boots, added = [], []
    for _ in range(2):
        start = time.perf_counter()
        desk.run("qvm-start", "one")
        desk.run("qvm-run", "-p", "-u", "root", "one", "true", timeout=PATIENCE)
        answered = time.perf_counter()
        ready = "until [ -S /run/qubes-manager-gui/xpra.sock ]; do sleep 0.1; done"
        desk.run("qvm-run", "-p", "-u", "root", "one", ready, timeout=PATIENCE)
        boots.append(time.perf_counter() - start)
        added.append(time.perf_counter() - answered)
        desk.run("qvm-kill", "one")
    clicks = []
    for _ in range(2):
        clicks.append(until_window(desk, "one", lambda: open_terminal(desk, "one")))
        desk.run("qvm-kill", "one")
        wait_for(lambda: not desk.windows("[one]"))
    say(
        "boot to a session that takes windows", statistics.median(boots), "s", "software emulation, the second start on"
    )
    say("of that, after the guest agent’s first answer", statistics.median(added), "s")
    say("click to the window, domain halted", statistics.median(clicks), "s", "(goal: boot + 1)")


def from_running(desk: Desk, click: Callable[[], None]) -> None:
    """A click on an application of a running domain, against the same typed in a terminal of that session."""
    until_window(desk, "one", lambda: open_terminal(desk, "one"))
    terminal = desk.windows("[one]")[0]
    clicks, typed, entries = [], [], []
    pressed = 0.0

    def by_hand() -> None:
        desk.raise_window(terminal)
        desk.type("xterm &")
        nonlocal pressed
        pressed = time.perf_counter()
        desk.keys("Return")

    for _ in range(LAUNCHES):
        clicks.append(until_window(desk, "one", click))
        entries.append(until_window(desk, "one", lambda: open_terminal(desk, "one")))
        until_window(desk, "one", by_hand)
        typed.append(time.perf_counter() - pressed)
        close_others(desk, terminal)
    clicked, hand, entry = map(statistics.median, (clicks, typed, entries))
    say("typed in a terminal of the session", 1000 * hand, "ms", "from Return to the window")
    say("click in the panel, domain running", 1000 * clicked, "ms", f"ratio {clicked / hand:.2f} (goal: 0.7)")
    say("by the desktop’s entry, domain running", 1000 * entry, "ms", f"ratio {entry / hand:.2f}")


def close_others(desk: Desk, kept: str) -> None:
    """Close all windows but one; a program that was still starting may need to be told twice."""
    for _try in range(20):
        for window in desk.windows("[one]"):
            if window != kept:
                desk.close_window(window)
        time.sleep(1)
        if desk.windows("[one]") == [kept]:
            return
    raise TimeoutError


def drawing(desk: Desk) -> None:
    """Pictures a second and the way from a key to the screen, in a window and in the console of the same guest."""
    eye = Eye(desk.environment["DISPLAY"])
    in_window(desk, eye, desk.windows("[one]")[0])
    in_console(desk, eye)
    eye.close()
    time.sleep(30)


def in_window(desk: Desk, eye: Eye, terminal: str) -> None:
    """What a terminal of the guest does in its window, which closes then."""
    desk.raise_window(terminal)
    desk.type("clear; cat")
    desk.keys("Return")
    time.sleep(2)
    delay = 1000 * key_delay(desk, eye, terminal)
    say("key to the screen, a window", delay, "ms", f"median of {KEYS} (goal: 30, and not above VNC’s)")
    desk.keys("ctrl+c")
    desk.type("while :; do seq 100; done")
    desk.keys("Return")
    time.sleep(2)
    say("a terminal that scrolls, a window", changes(desk, eye, terminal), "pictures/s", "(goal: VNC’s)")
    desk.keys("ctrl+c")
    time.sleep(1)
    desk.close_window(terminal)


def in_console(desk: Desk, eye: Eye) -> None:
    """What the text console of the guest does on its screen (VNC)."""
    desk.run("qvm-console", "one")
    console = desk.window("[one] screen")
    desk.run("qvm-run", "-p", "-u", "root", "one", "printf '\\033c' >/dev/tty1")
    desk.raise_window(console)
    time.sleep(2)
    say("key to the screen, the console (VNC)", 1000 * key_delay(desk, eye, console), "ms", f"median of {KEYS}")
    loop = "setsid -f sh -c 'end=$(($(date +%s)+30)); while [ $(date +%s) -lt $end ]; do seq 100; done >/dev/tty1'"
    desk.run("qvm-run", "-p", "-u", "root", "one", loop)
    time.sleep(2)
    rate = changes(desk, eye, console)
    say("a console that scrolls (VNC)", rate, "pictures/s", "the text console of the same guest")
    desk.close_window(console)


def seen(desk: Desk, window: str) -> Box:
    """The part of a window in which text changes."""
    box = desk.box(window)
    return Box(box.x + 8, box.y + 8, min(box.width, 480) - 16, min(box.height, 300) - 16)


def key_delay(desk: Desk, eye: Eye, window: str) -> float:
    """Seconds from a key to a change in the window, the median of some."""
    box, found = seen(desk, window), []
    for _ in range(KEYS):
        before = eye.look(box)
        start = time.perf_counter()
        eye.press("x")
        while eye.look(box) == before and time.perf_counter() - start < 20:
            time.sleep(0.001)
        found.append(time.perf_counter() - start)
        time.sleep(0.3)
    return statistics.median(found)


def changes(desk: Desk, eye: Eye, window: str) -> float:
    """How often the window's picture changes in a second, as far as 120 a second can be seen."""
    box, last, count = seen(desk, window), b"", 0
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        now = eye.look(box)
        count += now != last
        last = now
        time.sleep(1 / 120)
    return count / SECONDS


def idle(desk: Desk) -> None:
    """The processor time of what shows ten windows of three domains, while nothing happens."""
    for name, windows in zip(DOMAINS, (4, 3, 3), strict=True):
        for _ in range(windows):
            until_window(desk, name, functools.partial(open_terminal, desk, name))
    time.sleep(20)
    processes = desk.processes("qubes_manager.viewers") + desk.processes("qubes_manager gui")
    before = used(processes)
    time.sleep(IDLE_SECONDS)
    cost = 100 * (used(processes) - before) / IDLE_SECONDS
    say("10 windows of 3 domains, idle", cost, "% of a core", "(goal: 0.2) viewers and service")
    memory = sum(held(pid, "Pss") for pid in processes) / 1e6
    say("memory of what shows them", memory, "MB", "unshared and its part of shared (PSS)")


if __name__ == "__main__":
    main()
