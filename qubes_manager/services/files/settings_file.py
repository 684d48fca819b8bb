"""The settings of the window."""

from dataclasses import asdict
from pathlib import Path

from qubes_manager.core.settings import Settings, parse_settings
from qubes_manager.services.files.yaml_file import Document, YamlFile


class SettingsFile(YamlFile[Settings]):
    """Reads and writes ``settings.yaml``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, parse_settings)

    def save(self, settings: Settings) -> None:
        """Write what is otherwise than the file says; raises Refused, OSError."""

        def edit(document: Document) -> None:
            present = asdict(parse_settings(document))
            document.update({name: value for name, value in asdict(settings).items() if value != present[name]})

        self.change(edit)
