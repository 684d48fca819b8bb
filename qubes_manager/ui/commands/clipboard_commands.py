"""What happens when something of the inter-domain clipboard is chosen."""

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QWidget

from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import Refused
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.services.crossing.clipboard import Clipboards
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.ui.dialogs.paste_dialog import PasteDialog
from qubes_manager.ui.feedback.confirm import finished
from qubes_manager.ui.feedback.message_bar import Level, MessageBar
from qubes_manager.ui.look.plain import PlainBox

_MESSAGE = "clipboard"


class ClipboardCommands:
    """Copies, pastes and wipes; says what was done in *messages*. All of it raises QubesManagerError."""

    def __init__(self, window: QWidget, store: DomainStore, clipboards: Clipboards, messages: MessageBar) -> None:
        self._window = window
        self._store = store
        self._clipboards = clipboards
        self._messages = messages

    async def copy(self, domain: Domain) -> None:
        """Take what is on a domain's own clipboard."""
        self._say(await self._clipboards.copy(domain.key))

    async def paste(self, domain: Domain) -> None:
        """Put what waits on a domain's own clipboard."""
        self._say(await self._clipboards.paste(domain.key))

    async def paste_to(self) -> None:
        """Let the user choose the domain that gets what waits."""
        held = self._clipboards.held
        if held is None:
            raise Refused("the inter-domain clipboard is empty: copy something into it first")
        applies = OPERATIONS["clipboard-paste"].applies
        targets = [d for d in self._store.of_host(held.uri) if applies(d) and d.name != held.source]
        dialog = PasteDialog(self._window, held.sentence, targets)
        if await finished(dialog) == QDialog.DialogCode.Accepted and (target := dialog.target):
            await self.paste(target)

    async def give(self, domain: Domain) -> None:
        """Put what is on the host's clipboard on a domain's, after asking."""
        text = QGuiApplication.clipboard().text()
        if not text:
            raise Refused("there is no text on the host’s clipboard")
        size = len(text.encode("utf-8", "replace"))
        box = PlainBox(
            self._window,
            "Paste the host’s clipboard",
            f"Paste the {size:,} bytes of text on the host’s clipboard into “{domain.name}”?",
            "All programs there can read them then.",
        )
        box.setIcon(PlainBox.Icon.Question)
        go = box.addButton("Paste", PlainBox.ButtonRole.AcceptRole)
        safe = box.addButton(PlainBox.StandardButton.Cancel)
        box.setDefaultButton(safe)
        box.setEscapeButton(safe)
        await finished(box)
        if box.clickedButton() is go:
            # What was asked about, whatever is on the clipboard by now.
            self._say(await self._clipboards.give(domain.key, text))

    async def take(self) -> None:
        """Put what waits on the host's clipboard, if policy and user agree."""
        text, source = await self._clipboards.take()
        QGuiApplication.clipboard().setText(text)
        size = len(text.encode())
        self._say(f"{size:,} bytes from “{source}” are on the host’s clipboard; the inter-domain one is wiped.")

    async def wipe(self) -> None:
        """Forget what waits."""
        await self._clipboards.wipe()
        self._messages.dismiss(_MESSAGE)

    def _say(self, sentence: str) -> None:
        self._messages.show_message(Level.INFO, sentence, key=_MESSAGE)
