"""Choosing files and folders of this machine that are opened in a disposable, or made clean there."""

from PySide6.QtWidgets import QWidget

from qubes_manager.ui.dialogs.gather_dialog import GatherDialog


class OpenFilesDialog(GatherDialog):
    """Gathers what is to be opened in one disposable of *base*, so that what is changed comes back or does not."""

    def __init__(self, parent: QWidget, base: str, *, view_only: bool) -> None:
        verb = "View" if view_only else "Edit"
        super().__init__(parent, f"{verb} files in a disposable", verb)
        comes_back = "Nothing comes back." if view_only else "What you save there comes back; the old one is kept."
        self.add_note(f"They are opened together in a new disposable of “{base}”, which is gone when all are closed.")
        self.add_note(comes_back)
        self.finish(self.files)
        self.validate()


class ConvertFilesDialog(GatherDialog):
    """Gathers PDF files and pictures, of which disposables of *base* make clean copies."""

    def __init__(self, parent: QWidget, base: str) -> None:
        super().__init__(parent, "Make clean copies", "Convert", folders=False)
        self.add_note(
            f"A new disposable of “{base}” draws each PDF file or picture, and only plain pixels come back: what could "
            "do harm in it does not. The copy, NAME.trusted.pdf or NAME.trusted.png, lies beside the file, which stays."
        )
        self.finish(self.files)
        self.validate()
