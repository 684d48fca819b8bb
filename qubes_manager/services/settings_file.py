"""The settings file: YAML, checked when read, written atomically."""

import os
import tempfile
from dataclasses import asdict
from pathlib import Path

import yaml

from qubes_manager.core.errors import BadInput
from qubes_manager.core.settings import Settings, parse_settings


def config_folder() -> Path:
    """Where the user's settings are."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "qubes-manager"


class SettingsFile:
    """Reads and writes ``settings.yaml``."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or config_folder() / "settings.yaml"

    def load(self) -> tuple[Settings, str]:
        """Return the settings, and a line to show when the file was broken; it is kept aside then."""
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return Settings(), ""
        except (OSError, UnicodeDecodeError) as error:
            return Settings(), self._set_aside(str(error))
        try:
            return parse_settings(yaml.safe_load(text)), ""
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f"line {mark.line + 1}: " if mark else ""
            return Settings(), self._set_aside(f"{place}{getattr(error, 'problem', '') or 'no YAML'}")
        except BadInput as error:
            return Settings(), self._set_aside(str(error))

    def save(self, settings: Settings) -> None:
        """Write all settings, or nothing: the old file stays until the new one is whole. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".settings-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                yaml.safe_dump(asdict(settings), file, allow_unicode=True, sort_keys=False)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _set_aside(self, problem: str) -> str:
        kept = self.path.with_suffix(".broken.yaml")
        try:
            self.path.replace(kept)
        except OSError as error:
            return (
                f"The settings in {self.path} cannot be used ({problem}) nor moved ({error.strerror}); using defaults."
            )
        return f"The settings could not be used ({problem}). Defaults are in force; the old file is {kept}."
