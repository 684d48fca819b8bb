"""Windows of two Debian guests on a real screen: their marks, their rules, and what a hostile guest gets."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from tests.desk import COMMANDS, Desk
from tests.desktops.desktop import Colour
from tests.e2e.conftest import NO_OFFER, Program
from tests.integration.gui.conftest import BLUE, GREEN, MARKS, RED, be_hostile, end_hostile, in_guest, open_terminal
from tests.waiting import PATIENCE

pytestmark = MARKS
SCREEN = (1280, 800)
# Two terminals, xpdf, and what Thunar brings: itself, its settings, and a program that renames files.
APPLICATIONS = 6


def test_windows_of_both_domains_wear_their_own_colours(desk: Desk) -> None:
    work, untrusted = open_terminal(desk, "work", "letters"), open_terminal(desk, "untrusted", "letters")
    desk.tool("xdotool", "windowmove", work, "60", "60")
    desk.tool("xdotool", "windowmove", untrusted, "640", "360")
    desk.until(lambda: desk.box(work).x < 80 and desk.box(untrusted).x > 600, "they are moved")
    desk.wears(work, BLUE)
    desk.wears(untrusted, RED)
    picture = desk.picture("two-domains")
    for window in (work, untrusted):
        box = desk.box(window)
        inside = picture.crop((box.x + 6, box.y + 6, box.x + box.width - 6, box.y + box.height - 6))
        assert {(0, 0, 0), (255, 255, 255)} & {colour for _n, colour in inside.getcolors(1 << 16) or ()}


def test_what_is_typed_comes_to_the_window_that_has_the_keyboard(desk: Desk) -> None:
    work = open_terminal(desk, "work", "typing")
    desk.raise_window(work)
    desk.type("echo typed > ~/typed; exit")
    desk.keys("Return")
    desk.until(lambda: not desk.windows("[work] typing"), "the terminal closes")
    assert in_guest(desk, "work", "cat ~/typed") == "typed"
    assert in_guest(desk, "untrusted", "cat ~/typed 2>&1", check=False) != "typed"


def test_the_label_changes_and_the_border_with_it(desk: Desk) -> None:
    window = open_terminal(desk, "work", "colours")
    desk.wears(window, BLUE)
    desk.run("qvm-prefs", "work", "label", "green")
    desk.wears(window, GREEN)
    desk.run("qvm-prefs", "work", "label", "blue")
    desk.wears(window, BLUE)
    desk.run("qvm-window-prefs", "work", "border_width", 12)
    # The room for it is taken around the picture: the window stays the same.
    desk.until(lambda: desk.border(window, 12) == {BLUE}, "a wide border")
    desk.run("qvm-window-prefs", "--default", "work", "border_width")
    desk.wears(window, BLUE)


def test_a_window_is_moved_resized_and_closed(desk: Desk) -> None:
    window = open_terminal(desk, "work", "moving")
    desk.tool("xdotool", "windowmove", window, "300", "200", "windowsize", window, "640", "400")
    desk.until(lambda: abs(desk.box(window).width - 640) < 12, "the new size")
    desk.wears(window, BLUE)
    desk.tool("wmctrl", "-i", "-c", window)
    desk.until(lambda: not desk.windows("[work] moving"), "the window closes")
    desk.until(lambda: not in_guest(desk, "work", "pgrep -f [m]oving", check=False), "its program ends")
    assert desk.run("qvm-check", "--running", "work").returncode == 0


def test_menus_have_the_border_too(desk: Desk) -> None:
    before = set(all_windows(desk))
    be_hostile(desk, "untrusted", "menu")
    desk.until(lambda: set(all_windows(desk)) - before, "an unmanaged window")
    [menu] = set(all_windows(desk)) - before
    assert not desk.windows("[untrusted] hostile-menu")
    box = desk.box(menu)
    edge = (box.x, box.y, box.x + box.width, box.y + 6)
    desk.until(lambda: desk.picture().crop(edge).getcolors() == [(box.width * 6, RED)], "a red border")
    picture = desk.picture("menu")
    assert picture.crop(edge).getcolors() == [(box.width * 6, RED)]
    assert picture.getpixel((box.x + 20, box.y + 20)) == (255, 255, 255)
    end_hostile(desk, "untrusted")


def all_windows(desk: Desk) -> list[str]:
    """All windows of the viewers that can be seen, unmanaged ones among them."""
    return desk.tool("xdotool", "search", "--onlyvisible", "--class", "untrusted|work|[Xx]pra|gui.py").split()


def test_full_screen_is_refused_unless_it_is_allowed(desk: Desk) -> None:
    be_hostile(desk, "untrusted", "fullscreen")
    window = desk.window("[untrusted] hostile-fullscreen")
    time.sleep(2)
    box = desk.box(window)
    assert box.width < SCREEN[0] or box.height < SCREEN[1]
    assert "ABOVE" not in desk.tool("xprop", "-id", window, "_NET_WM_STATE")
    assert "FULLSCREEN" not in desk.tool("xprop", "-id", window, "_NET_WM_STATE")
    end_hostile(desk, "untrusted")
    desk.run("qvm-window-prefs", "untrusted", "allow_fullscreen", "True")
    be_hostile(desk, "untrusted", "fullscreen")
    window = desk.window("[untrusted] hostile-fullscreen")
    desk.until(lambda: (desk.box(window).width, desk.box(window).height) == SCREEN, "full screen where it is allowed")
    # What is forbidden again ends at once.
    desk.run("qvm-window-prefs", "--default", "untrusted", "allow_fullscreen")
    desk.until(lambda: not desk.is_fullscreen(window), "no full screen any more")
    # A guest that is late may have it as large again, like any other window.
    desk.wears(window, RED)
    end_hostile(desk, "untrusted")


def test_an_unmanaged_window_does_not_cover_the_screen(desk: Desk) -> None:
    be_hostile(desk, "untrusted", "unmanaged")
    # It is a window with a frame now, which the user can move and close.
    window = desk.window("[untrusted] hostile-unmanaged")
    assert "_NET_FRAME_EXTENTS(CARDINAL) = " in desk.tool("xprop", "-id", window, "_NET_FRAME_EXTENTS")
    end_hostile(desk, "untrusted")


def test_hostile_titles_are_tamed(desk: Desk) -> None:
    be_hostile(desk, "untrusted", "titles")
    # It is the last of them.
    desk.until(lambda: "[untrusted] Gr__e" in desk.titles(), "four windows")
    titles = [t for t in desk.titles() if t.startswith("[untrusted]") and "letters" not in t]
    assert all(len(title) <= 220 and title.isascii() and title.isprintable() for title in titles)
    assert {"[untrusted] red", "[untrusted] desrever [vault]"} <= set(titles)
    in_guest(desk, "untrusted", "pkill -f [h]ostile.py; true")
    desk.until(lambda: "[untrusted] Gr__e" not in desk.titles(), "they go")


def test_a_window_off_the_screen_is_brought_back(desk: Desk) -> None:
    be_hostile(desk, "untrusted", "away")
    box = desk.box(desk.window("[untrusted] hostile-away"))
    assert box.x + box.width > 0 and box.y + box.height > 0
    end_hostile(desk, "untrusted")


def test_windows_are_limited_in_number(desk: Desk) -> None:
    desk.run("qvm-window-prefs", "untrusted", "windows_count_limit", 20)
    be_hostile(desk, "untrusted", "many", "600")
    in_guest(desk, "untrusted", "until grep -q shown /tmp/hostile.out; do sleep 0.1; done")

    def shown() -> int:
        return sum(title.startswith("[untrusted]") for title in desk.titles())

    desk.until(lambda: shown() > 10, "as many as may be")
    # Whether more of them come, only time tells.
    time.sleep(2)
    assert shown() <= 20
    # The other domain does not suffer.
    assert open_terminal(desk, "work", "unharmed")
    end_hostile(desk, "untrusted")
    desk.run("qvm-window-prefs", "--default", "untrusted", "windows_count_limit")


def test_the_clipboards_are_apart(desk: Desk) -> None:
    subprocess.Popen(["xclip", "-selection", "clipboard"], env=desk.environment, stdin=subprocess.PIPE).communicate(
        b"mine"
    )
    in_guest(desk, "work", "export DISPLAY=:10; echo theirs | timeout 5 xclip -selection clipboard -loops 3 &")
    desk.raise_window(open_terminal(desk, "work", "clip"))
    time.sleep(2)
    assert desk.tool("xclip", "-selection", "clipboard", "-o").strip() == "mine"
    said = in_guest(desk, "untrusted", "DISPLAY=:10 timeout 5 xclip -selection clipboard -o 2>&1", check=False)
    assert "mine" not in said and "theirs" not in said


def test_applications_come_to_the_menu_and_start_from_there(desk: Desk) -> None:
    desk.until(lambda: entries(desk, "work"), "entries in the menu")
    found = entries(desk, "work")
    assert len(found) == APPLICATIONS
    assert {"xterm.desktop", "uxterm.desktop"} <= {path.name.rpartition("-debian-")[2] for path in found}
    checked = subprocess.run(["desktop-file-validate", *found], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    assert "error" not in checked.stdout
    entry = next(path for path in found if path.name.endswith("-debian-xterm.desktop"))
    text = entry.read_text()
    assert "Name=work: XTerm" in text
    assert "X-Qubes-Label=blue" in text
    assert entry_icon(text).is_file()
    before = set(desk.windows("[work] "))
    launch = {**desk.environment, "DESKTOP_STARTUP_ID": "a-launch_TIME0"}
    subprocess.run(["gio", "launch", entry], env=launch, check=True, timeout=PATIENCE)
    desk.until(lambda: set(desk.windows("[work] ")) - before, "the window of what was chosen")
    # The desktop's start-up notification ends with this very window.
    [window] = set(desk.windows("[work] ")) - before
    assert "a-launch_TIME0" in desk.tool("xprop", "-id", window, "_NET_STARTUP_ID")
    # An application that is not there any more is said to be so.
    gone = desk.run("qubes-manager", "run", "work", "no-such-thing", check=False)
    assert gone.returncode == 1


def entries(desk: Desk, name: str) -> list[Path]:
    """The desktop entries of a domain."""
    folder = desk.data / "applications"
    return sorted(p for p in folder.glob("qubes-manager-*.desktop") if f"X-Qubes-VmName={name}\n" in p.read_text())


def entry_icon(text: str) -> Path:
    return Path(next(line for line in text.splitlines() if line.startswith("Icon=")).partition("=")[2])


def test_the_menu_has_what_was_chosen_for_the_domain(desk: Desk) -> None:
    assert "debian-xterm\tXTerm" in desk.run("qvm-appmenus", "--get-available", "work").stdout
    chosen = desk.folder / "chosen"
    chosen.write_text("debian-uxterm.desktop\n")
    desk.run("qvm-appmenus", f"--set-whitelist={chosen}", "work")
    assert [path.name.rpartition("-")[2] for path in entries(desk, "work")] == ["uxterm.desktop"]
    assert desk.run("qvm-appmenus", "--get-whitelist", "work").stdout == "debian-uxterm\n"
    others = entries(desk, "untrusted")
    assert others
    desk.run("qvm-appmenus", "--remove", "untrusted")
    assert entries(desk, "untrusted") == []
    desk.run("qvm-appmenus", "--update", "untrusted")
    assert entries(desk, "untrusted") == others
    desk.run("qvm-appmenus", "--set-all", "work")
    assert len(entries(desk, "work")) == APPLICATIONS


def test_the_screen_and_the_serial_console_are_seen(desk: Desk) -> None:
    in_guest(desk, "work", "printf '\\033c\\033[47m\\033[2J' >/dev/tty1", user="root")
    desk.run("qvm-console", "work")
    screen = desk.window("[work] screen")
    desk.until(lambda: (170, 170, 170) in inside(desk, screen), "the guest's screen")
    desk.wears(screen, BLUE)
    # Full screen is refused to this window by the same rule.
    desk.tool("wmctrl", "-i", "-r", screen, "-b", "add,fullscreen")
    time.sleep(1)
    assert "FULLSCREEN" not in desk.tool("xprop", "-id", screen, "_NET_WM_STATE")
    listen = "systemctl stop serial-getty@ttyS0; setsid -f sh -c 'head -n 1 </dev/ttyS0 >/tmp/line'"
    in_guest(desk, "untrusted", listen, user="root")
    desk.run("qvm-console", "--serial", "untrusted")
    serial = desk.window("[untrusted] serial console")
    desk.raise_window(serial)
    time.sleep(1)
    desk.type("typed on the line")
    desk.keys("Return")
    desk.until(lambda: in_guest(desk, "untrusted", "cat /tmp/line") == "typed on the line", "the guest reads it")
    in_guest(desk, "untrusted", "printf '\\033[41m\\033[2J' >/dev/ttyS0", user="root")
    desk.until(lambda: (0xC0, 0, 0) in inside(desk, serial), "what the guest writes is seen")
    desk.wears(serial, RED)
    in_guest(desk, "work", "(printf '\\033c'; cat /etc/os-release; ip address) >/dev/tty1", user="root")
    in_guest(desk, "untrusted", "(printf '\\033c'; dmesg | tail -n 20) >/dev/ttyS0", user="root")
    time.sleep(2)
    desk.picture("consoles")
    for window in (screen, serial):
        desk.tool("wmctrl", "-i", "-c", window)
    desk.until(lambda: not desk.processes("viewers.console"), "the consoles end")


def inside(desk: Desk, window: str) -> set[Colour]:
    box = desk.box(window)
    return desk.colours((box.x + 10, box.y + 100, box.x + box.width - 10, box.y + box.height - 10))


def test_the_guest_s_session_starts_anew_and_its_windows_come_again(desk: Desk) -> None:
    open_terminal(desk, "untrusted", "before")
    in_guest(desk, "untrusted", "systemctl restart qubes-manager-gui", user="root")
    desk.until(lambda: not desk.windows("[untrusted] before"), "its windows go")
    window = open_terminal(desk, "untrusted", "after")
    desk.wears(window, RED)


def test_a_viewer_that_dies_comes_again_with_its_windows(desk: Desk) -> None:
    window = open_terminal(desk, "work", "survivor")
    for viewer in desk.processes("gui_program"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(viewer, signal.SIGKILL)
    desk.until(lambda: desk.windows("[work] survivor") not in ([], [window]), "the window comes again")


def test_windows_outlive_the_manager(desk: Desk) -> None:
    window = open_terminal(desk, "work", "outliving")
    (desk.config / "qubes-manager").mkdir(parents=True, exist_ok=True)
    (desk.config / "qubes-manager/settings.yaml").write_text("setup_offered: true\n")
    for _start in range(2):
        manager = subprocess.Popen(
            [COMMANDS / "qubes-manager", "--connect", desk.uri], env=desk.environment, stderr=subprocess.PIPE
        )
        desk.window("Qubes Manager")
        time.sleep(3)
        assert desk.windows("[work] outliving") == [window]
        manager.terminate()
        assert manager.wait(PATIENCE) == 0
        assert desk.windows("[work] outliving") == [window]


def test_a_domain_that_is_killed_takes_its_windows_along(desk: Desk) -> None:
    open_terminal(desk, "untrusted", "doomed")
    kept = open_terminal(desk, "work", "staying")
    desk.run("qvm-kill", "untrusted")
    desk.until(lambda: not desk.windows("[untrusted]"), "its windows go")
    assert desk.windows("[work] staying") == [kept]
    desk.until(lambda: len(tops(desk)) == 1, "its viewer ends")


def test_an_application_is_started_from_the_panel_and_its_domain_with_it(desk: Desk) -> None:
    settings = f"{NO_OFFER}window_width: 800\nwindow_height: 520\nshow_details: false\n"
    program = Program(desk.screen, desk.folder, "--connect", desk.uri, settings=settings, environment=desk.environment)
    try:
        program.ready()
        program.click("XTerm in untrusted", double=True)
        program.reads("XTerm in “untrusted”: waiting for")
        program.picture("starting-an-application")
        window = desk.window("[untrusted] user@")
        desk.wears(window, RED)
        desk.raise_window(desk.window("Qubes Manager"))
        program.until(lambda: not any("waiting for" in text for text in program.texts()), "the message goes")
        program.picture("applications")
        take_readme_picture(desk)
        desk.raise_window(desk.window("Qubes Manager"))
        assert program.quit() == 0
    finally:
        program.close()
    assert desk.windows("[untrusted] user@") == [window]


def take_readme_picture(desk: Desk) -> None:
    """Both domains at work beside the manager."""
    for window in desk.windows("[work]")[:-1]:
        desk.tool("wmctrl", "-i", "-c", window)
    work, untrusted = desk.windows("[work]")[-1], desk.windows("[untrusted]")[-1]
    for window, place in ((desk.window("Qubes Manager"), "20,20"), (work, "340,400"), (untrusted, "760,170")):
        desk.tool("wmctrl", "-i", "-r", window, "-e", f"0,{place},-1,-1")
        desk.raise_window(window)
    for window in (work, untrusted):
        desk.raise_window(window)
        time.sleep(1)
        desk.type("cat /etc/debian_version; df -h /home")
        desk.keys("Return")
    time.sleep(2)
    desk.picture("desktop")


def test_a_disposable_is_gone_with_its_last_window_though_its_broker_was_killed(desk: Desk) -> None:
    made = ("--template", "debian", "--label", "green", "--private-size", "64M", "--property", "memory=1024")
    desk.run("qvm-create", *made, "--property", "template_for_dispvms=True", "base")
    desk.run("qubes-manager", "run", "--dispvm", "base", "debian-xterm", timeout=500)
    first = desk.window("[disp")
    name = next(title for title in desk.titles() if "[disp" in title).partition("[")[2].partition("]")[0]
    desk.wears(first, GREEN)
    # More may be started in it; it stays for that, although what it was made for has ended.
    second = open_terminal(desk, name, "second")
    desk.tool("wmctrl", "-i", "-c", first)
    desk.until(lambda: desk.windows(f"[{name}]") == [second], "the first window goes")
    for pid in desk.processes("qubes_manager broker"):
        os.kill(pid, signal.SIGKILL)
    time.sleep(5)
    assert desk.windows(f"[{name}]") == [second]
    desk.raise_window(second)
    desk.type("exit")
    desk.keys("Return")
    desk.until(lambda: desk.lacks(name), "it is gone")
    desk.run("qvm-remove", "--force", "base")


def test_a_domain_that_is_removed_is_in_no_menu(desk: Desk) -> None:
    assert entries(desk, "untrusted")
    desk.run("qvm-kill", "untrusted")
    desk.run("qvm-remove", "--force", "untrusted")
    assert entries(desk, "untrusted") == []
    assert len(entries(desk, "work")) == APPLICATIONS
    assert len(list((desk.config / "menus/applications-merged").glob("*.menu"))) == 1


def tops(desk: Desk) -> list[int]:
    """The sandboxes with application windows: of each the process that was started."""
    found = desk.processes("gui_program")
    return [pid for pid in found if parent(pid) not in found]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
