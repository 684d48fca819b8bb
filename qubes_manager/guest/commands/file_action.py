"""What the file manager's menu runs: a command on the files that are chosen, whose user has no terminal.

What goes wrong is said in a window; how far it is the host shows.
"""

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from functools import partial

from qubes_manager.core.text import harmless
from qubes_manager.guest.commands import (
    qvm_convert_img,
    qvm_convert_pdf,
    qvm_copy,
    qvm_move,
    qvm_open_in_dvm,
    qvm_open_in_vm,
)

# Each with the options that stand before the files.
_ACTIONS: Mapping[str, tuple[Callable[[Sequence[str]], int], tuple[str, ...]]] = {
    "copy": (qvm_copy.main, ()),
    "move": (qvm_move.main, ()),
    # Whom is chosen in the window that asks, as for a copy.
    "open": (qvm_open_in_vm.main, ("@default",)),
    "edit": (qvm_open_in_dvm.main, ()),
    "view": (qvm_open_in_dvm.main, ("--view-only",)),
    "convert-pdf": (qvm_convert_pdf.main, ()),
    "convert-img": (qvm_convert_img.main, ()),
}
# Characters of a window, which is to fit on the screen.
_MOST = 2000


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: an action's name, then files."""
    name, *files = sys.argv[1:] if arguments is None else arguments
    command, options = _ACTIONS[name]
    # A file's name may begin with a dash.
    return run(partial(command, [*options, "--", *files]), show)


def run(action: Callable[[], int], show: Callable[[str], object]) -> int:
    """Run *action* and *show* what it said unless all went well; returns its exit code."""
    said = io.StringIO()
    with redirect_stderr(said):
        try:
            code = action()
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
    text = harmless(said.getvalue()).strip()
    if code and text:
        show(text if len(text) <= _MOST else f"{text[:_MOST]}…")
    return code


def show(text: str) -> None:
    """Show a text in a window until it is closed; where that cannot be, say it."""
    try:
        import gi

        gi.require_version("Gtk", "3.0")
        from gi.repository import Gtk

        is_ready, _ = Gtk.init_check(None)
    except (ImportError, ValueError):
        is_ready = False
    if not is_ready:
        print(text, file=sys.stderr)
        return
    window = Gtk.MessageDialog(message_type=Gtk.MessageType.WARNING, buttons=Gtk.ButtonsType.CLOSE)
    window.props.text, window.props.secondary_text = "Not all went well", text
    window.set_title("Files and other domains")
    window.run()
    window.destroy()
