"""Files of a real Debian guest: sent and opened by its file manager and its commands, and by the manager's window."""

from importlib import resources

import libvirt
from lxml import etree

from qubes_manager.backend.host.daemon_paths import daemon_paths
from tests.desk import Desk
from tests.e2e.conftest import Program
from tests.integration.desk.conftest import MARKS, answer, begin, disposable_window, end, in_guest, put

pytestmark = MARKS
GREEN = (0x73, 0xD2, 0x16)
PDF = """
import cairo
surface = cairo.PDFSurface("letter.pdf", 200, 200)
context = cairo.Context(surface)
for page in range(2):
    context.move_to(20, 100)
    context.show_text("secret words")
    context.show_page()
surface.finish()
"""
# Viewers' windows, those among them that have no frame.
OURS = "untrusted|work|[Xx]pra|gui.py"


def has_text(desk: Desk, window: str) -> bool:
    """Whether something dark stands in the window."""
    box = desk.box(window)
    inside = (box.x + 7, box.y + 7, box.x + box.width - 7, box.y + box.height - 7)
    return any(sum(colour) < 200 for colour in desk.colours(inside))


def wait_until_gone(desk: Desk, name: str) -> None:
    """It is in no list, and nothing of it on the disk."""
    paths = daemon_paths(desk.uri)
    assert paths
    desk.until(lambda: desk.lacks(name), f"libvirt knows no {name}")
    desk.until(lambda: not [p for p in paths.volumes.iterdir() if f".TRANSIENT-{name}" in p.name], "its disks are gone")


def waiting(desk: Desk) -> list[str]:
    """The disposables that are kept ready."""
    connection = libvirt.open(desk.uri)
    found = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_PAUSED)
    names = [domain.name() for domain in found if domain.name().startswith("disp")]
    connection.close()
    return names


def choose(desk: Desk, window: str, entry: str) -> None:
    """Choose an entry of ours in the file manager's menu of all files that the folder holds."""
    actions = etree.parse(str(resources.files("qubes_manager.guest") / "debian/uca.xml")).iter("action")
    entries = [action.findtext("name") for action in actions if action.find("text-files") is not None]
    desk.raise_window(window)
    before = set(shown(desk))
    desk.keys("ctrl+a", "shift+F10")
    desk.until(lambda: set(shown(desk)) - before, "the menu")
    # They come last in it, before the properties.
    desk.keys(*["Up"] * (len(entries) - entries.index(entry) + 1), "Return")
    desk.until(lambda: not set(shown(desk)) - before, "the menu goes")


def shown(desk: Desk) -> list[str]:
    return desk.tool("xdotool", "search", "--onlyvisible", "--class", OURS).split()


def test_the_file_manager_sends_files_and_has_them_viewed_in_the_disposable_that_was_kept_ready(desk: Desk) -> None:
    in_guest(desk, "untrusted", f"mkdir papers; cd papers; echo first >notes.txt; python3 -c '{PDF}'")
    desk.run("qvm-run", "--gui", "untrusted", "setsid -f thunar papers >/dev/null 2>&1")
    manager = desk.window("[untrusted] papers")
    choose(desk, manager, "Copy to another domain…")
    answer(desk, "work", "asking")
    look = "cd QubesIncoming/untrusted && sha256sum letter.pdf notes.txt"
    desk.until(lambda: in_guest(desk, "work", look, check=False).count("\n"), "both are there")
    assert in_guest(desk, "work", look) == in_guest(desk, "untrusted", "cd papers && sha256sum *")

    desk.until(lambda: waiting(desk), "one is kept ready")
    [ready] = waiting(desk)
    choose(desk, manager, "View in disposable")
    (text, name), (pdf, other) = disposable_window(desk, "reader"), disposable_window(desk, "Xpdf")
    assert name == other == ready
    for window in (text, pdf):
        desk.until(lambda window=window: has_text(desk, window), "what is in it is seen")  # type: ignore[misc]
        desk.wears(window, GREEN)
    desk.picture("opened-in-a-disposable")
    desk.tool("wmctrl", "-i", "-c", pdf)
    desk.until(lambda: not desk.windows(f"[{name}] Xpdf"), "the letter is closed")
    desk.raise_window(text)
    desk.type("not allowed")
    desk.keys("Return")
    wait_until_gone(desk, name)
    assert in_guest(desk, "untrusted", "ls papers; cat papers/notes.txt") == "letter.pdf\nnotes.txt\nfirst"
    desk.tool("wmctrl", "-i", "-c", manager)


def test_files_and_addresses_go_to_the_domain_that_is_named_when_the_user_says_yes(desk: Desk) -> None:
    put(desk, "untrusted", "moved\n", "moved.txt")
    put(desk, "untrusted", "first\n", "notes.txt")
    command = begin(desk, "qvm-move moved.txt")
    answer(desk, "work")
    end(command)
    assert in_guest(desk, "work", "cat QubesIncoming/untrusted/moved.txt") == "moved"

    command = begin(desk, "qvm-open-in-vm work notes.txt")
    answer(desk, "work")
    window = desk.window("[work] reader")
    desk.until(lambda: has_text(desk, window), "the text is seen")
    desk.until(lambda: desk.focused() == window, "what was said yes to has the keyboard")
    desk.type("second")
    desk.keys("Return")
    assert "notes.txt" in end(command)
    assert in_guest(desk, "untrusted", "grep . notes*; ls moved.txt 2>&1 | tail -c 10") == (
        "notes.txt:first\nnotes.txt:second\nnotes.txt~:first\ndirectory"
    )

    address = "https://example.org/a?b=c&d"
    command = begin(desk, f"qvm-open-in-vm work '{address}'")
    answer(desk, "work")
    desk.window("[work] browser")
    end(command)
    assert in_guest(desk, "work", "cat visited; pkill browser") == address


def test_a_pdf_is_made_plain_in_a_disposable(desk: Desk) -> None:
    said = end(begin(desk, "cd papers; qvm-convert-pdf letter.pdf"))
    assert "letter.trusted.pdf” is clean" in said
    assert in_guest(desk, "untrusted", "ls papers QubesUntrustedPDFs; pdftotext papers/letter.trusted.pdf -") == (
        "QubesUntrustedPDFs:\nletter.pdf\n\npapers:\nletter.trusted.pdf\nnotes.txt"
    )
    assert "Pages:           2" in in_guest(desk, "untrusted", "pdfinfo papers/letter.trusted.pdf")
    wait_until_gone(desk, "disp")


def test_the_window_copies_from_one_domain_to_another(desk: Desk) -> None:
    put(desk, "untrusted", "by the window\n", "chosen.txt")
    program = Program(desk.screen, desk.folder, "--connect", desk.uri, environment=desk.environment)
    try:
        program.ready()
        program.choose_row("untrusted")
        program.keys("alt+d", "t")
        program.click("chosen.txt")
        program.click("Copy to", "combo box")
        program.type("work")
        program.keys("Return")
        program.click("Copy", "push button")
        program.reads("chosen.txt (14 B): in ~/QubesIncoming/untrusted of “work”")
        assert in_guest(desk, "work", "cat QubesIncoming/untrusted/chosen.txt") == "by the window"
    finally:
        program.close()
