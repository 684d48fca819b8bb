"""A small YAML file of the user's, which he edits too: what is wrong in it is told, and stays for him to mend."""

import logging
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml

from qubes_manager.backend.user.domain_lock import file_lock
from qubes_manager.backend.user.small_files import write_whole
from qubes_manager.core.errors import BadInput, Refused

T = TypeVar("T")
Document = MutableMapping[Any, Any]
log = logging.getLogger(__name__)


class YamlFile(Generic[T]):
    """*parse* makes a value of a document (empty where there is no file); it is given what to call with each trouble.

    What it complains of counts as not set, and is left in the file as it is.
    """

    def __init__(self, path: Path, parse: Callable[[object, Callable[[str], None]], T]) -> None:
        self.path = path
        self._parse = parse
        self._told = ""

    def load(self) -> tuple[T, str]:
        """Return the value, and a line to show when something in the file could not be used; it is logged too."""
        troubles: list[str] = []
        try:
            value = self._parse(self._read(), troubles.append)
        except BadInput as error:
            troubles, value = [str(error)], self._parse({}, lambda _trouble: None)
        more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
        trouble = f"{self.path}: {troubles[0]}{more}; this counts as not set" if troubles else ""
        if trouble and trouble != self._told:
            log.warning("%s", trouble)
        self._told = trouble
        return value, trouble

    def change(self, edit: Callable[[Document], None]) -> None:
        """Let *edit* change the document that is in the file now; what it does not touch stays.

        One program of the user's after the other does this. Raises Refused for a file that is no YAML, which would be
        lost, BadInput from *edit*, OSError.
        """
        with file_lock(self.path):
            try:
                document = self._read()
            except BadInput as error:
                raise Refused(
                    f"{self.path} is not written to, so that nothing in it is lost: {error}; mend it"
                ) from error
            edit(document)
            text: str = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
            # The file may be a link into a folder that the user keeps elsewhere.
            write_whole(self.path.resolve(), text.encode(), durable=True)

    def _read(self) -> Document:
        try:
            document = yaml.safe_load(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f"line {mark.line + 1}" if mark else "the file"
            raise BadInput(place, str(getattr(error, "problem", "") or "no YAML"), "write it as YAML") from error
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput("the file", str(error), "let it be readable, in UTF-8") from error
        if document is None:
            return {}
        if not isinstance(document, dict):
            raise BadInput("the file", type(document).__name__, "let it hold a mapping of names to values")
        return document
