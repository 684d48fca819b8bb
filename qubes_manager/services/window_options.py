"""The options of domains' windows, as the user keeps them in ``windows.yaml``."""

from pathlib import Path

from qubes_manager.core.window_options import Value, WindowOptions, dump_window_options, parse_window_options
from qubes_manager.services.yaml_file import YamlFile, config_folder


class WindowOptionsFile(YamlFile[WindowOptions]):
    """Reads and writes ``windows.yaml``. Blocks."""

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(path or config_folder() / "windows.yaml", parse_window_options, dump_window_options)

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
