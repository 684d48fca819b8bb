"""The options of domains' windows, as the user keeps them in ``windows.yaml``."""

from pathlib import Path

from qubes_manager.core.gui_options import GuiOptions, Value, dump_gui_options, parse_gui_options
from qubes_manager.services.files.yaml_file import YamlFile


class GuiOptionsFile(YamlFile[GuiOptions]):
    """Reads and writes ``windows.yaml``. Blocks."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, parse_gui_options, dump_gui_options)

    def put(self, values: dict[str, Value | None], domain: str = "") -> None:
        """Set values for a domain, or for all; None takes back what was set. Raises BadInput, OSError."""
        options, _trouble = self.load()
        for key, value in values.items():
            options.put(key, value, domain)
        self.save(options)

    def rename(self, domain: str, name: str | None) -> None:
        """Let what was set for a domain go with its new name, or away with None; nothing is written without need."""
        options, _trouble = self.load()
        section = options.domains.pop(domain, None)
        if section is None:
            return
        if name is not None:
            options.domains[name] = section
        self.save(options)
