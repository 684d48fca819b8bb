"""The files that our own programs log to."""

from pathlib import Path


class LogPaths:
    """Names the logs in a folder."""

    def __init__(self, folder: Path) -> None:
        self.manager = folder / "manager.log"
        self.template_build = folder / "template-build.log"
        self.broker = folder / "broker.log"
        self._guis = folder / "gui"
        self.gui_service = self.gui("service")

    def gui(self, uuid: str) -> Path:
        """Of what shows a domain's windows."""
        return self._guis / f"{uuid}.log"
