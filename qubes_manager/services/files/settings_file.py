"""The settings of the window."""

from dataclasses import asdict
from pathlib import Path

from qubes_manager.core.settings import Settings, parse_settings
from qubes_manager.services.files.yaml_file import YamlFile


class SettingsFile(YamlFile[Settings]):
    """Reads and writes ``settings.yaml``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, parse_settings, asdict)
