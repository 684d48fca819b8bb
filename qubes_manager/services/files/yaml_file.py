"""A small YAML file of the user's: checked when read, kept aside when broken, written whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import yaml

from qubes_manager.backend.user.small_files import write_whole
from qubes_manager.core.errors import BadInput

T = TypeVar("T")


class YamlFile(Generic[T]):
    """*parse* makes a value of the document (None: of nothing) or raises BadInput; *dump* makes a document of it."""

    def __init__(self, path: Path, parse: Callable[[object], T], dump: Callable[[T], object]) -> None:
        self.path = path
        self._parse = parse
        self._dump = dump

    def load(self) -> tuple[T, str]:
        """Return the value, and a line to show when the file was broken; it is kept aside then."""
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return self._parse(None), ""
        except (OSError, UnicodeDecodeError) as error:
            return self._parse(None), self._set_aside(str(error))
        try:
            return self._parse(yaml.safe_load(text)), ""
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f"line {mark.line + 1}: " if mark else ""
            return self._parse(None), self._set_aside(f"{place}{getattr(error, 'problem', '') or 'no YAML'}")
        except BadInput as error:
            return self._parse(None), self._set_aside(str(error))

    def save(self, value: T) -> None:
        """Write the value; the old file stays until the new one is whole. Raises OSError."""
        text: str = yaml.safe_dump(self._dump(value), allow_unicode=True, sort_keys=False)
        write_whole(self.path, text.encode(), durable=True)

    def _set_aside(self, problem: str) -> str:
        kept = self.path.with_suffix(".broken.yaml")
        try:
            self.path.replace(kept)
        except OSError as error:
            return (
                f"The settings in {self.path} cannot be used ({problem}) nor moved ({error.strerror}); using defaults."
            )
        return f"The settings could not be used ({problem}). Defaults are in force; the old file is {kept}."
