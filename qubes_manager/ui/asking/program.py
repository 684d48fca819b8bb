"""``qubes-manager ask``: shows a question that comes on standard input, and answers on standard output.

It is started anew for each question, so it imports little. It ends without an answer when its input ends: who asked is
gone, or has no more use for the answer.
"""

import os
import sys
from collections.abc import Sequence

from PySide6.QtCore import QSocketNotifier
from PySide6.QtWidgets import QApplication

from qubes_manager.core.crossing.question import MAX_QUESTION, Answer, parse_question
from qubes_manager.core.json_lines import BadMessage
from qubes_manager.core.settings import APPEARANCES
from qubes_manager.ui.asking.ask_window import AskWindow
from qubes_manager.ui.look.icons import program_icon
from qubes_manager.ui.look.theme import set_appearance

ANSWERED, NO_QUESTION, WITHDRAWN = 0, 1, 2
_USAGE = """\
Usage: qubes-manager ask [system|light|dark NUMBER]
Ask the user a question of the broker's, which starts this: a line of JSON on standard input, the answer as one on
standard output. NUMBER windows are shown already."""
# Pixels between windows that nobody else places, and after how many the first place is taken again.
_STEP, _PLACES = 32, 10


def main(argv: Sequence[str]) -> int:
    """Entry point; *argv* is the appearance and how many questions are shown already. Returns an exit code."""
    appearance, place = argv if len(argv) == 2 else ("system", "0")
    if len(argv) not in (0, 2) or appearance not in APPEARANCES or not place.isdecimal():
        print(_USAGE, file=sys.stderr)
        return NO_QUESTION
    try:
        question = parse_question(sys.stdin.buffer.readline(MAX_QUESTION + 1))
    except BadMessage as error:
        print(f"qubes-manager ask: {error}", file=sys.stderr)
        return NO_QUESTION
    application = QApplication(["qubes-manager"])
    application.setApplicationName("Qubes Manager")
    application.setDesktopFileName("qubes-manager")
    application.setWindowIcon(program_icon())
    set_appearance(appearance)
    window = AskWindow(question)

    def on_answer(answer: Answer) -> None:
        print(answer.to_json(), flush=True)
        application.exit(ANSWERED)

    def on_input() -> None:
        if not os.read(0, 1024):
            application.exit(WITHDRAWN)

    window.answered.connect(on_answer)
    notifier = QSocketNotifier(0, QSocketNotifier.Type.Read)
    notifier.activated.connect(on_input)
    _place(application, window, int(place) % _PLACES)
    window.show()
    window.raise_()
    window.activateWindow()
    code: int = application.exec()
    return code


def _place(application: QApplication, window: AskWindow, place: int) -> None:
    """In the middle of the screen, beside those that came before: without a window manager nobody else places it."""
    area = application.primaryScreen().availableGeometry()
    corner = area.center() - window.rect().center()
    window.move(corner.x() + place * _STEP, corner.y() + place * _STEP)
