"""The options of domains' windows, as the user keeps them in ``windows.yaml``."""

import contextlib
from collections.abc import Callable, Collection
from pathlib import Path
from uuid import UUID

from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.gui_options import NAME, GuiOptions, Value, find_option, parse_gui_options
from qubes_manager.services.files.yaml_file import Document, YamlFile


class GuiOptionsFile(YamlFile[GuiOptions]):
    """Reads and writes ``windows.yaml``. Blocks.

    A domain's section has its UUID; a later domain of the same name has nothing of it. Where a person has written a
    name it is taken for the domain that is called so when it is read, one of *domains*, and its UUID put there.
    """

    def __init__(self, path: Path, domains: Callable[[], Collection[Domain]]) -> None:
        super().__init__(path, parse_gui_options)
        self._domains = domains

    def load(self) -> tuple[GuiOptions, str]:
        """Return the options, and a line to show when something in the file could not be used."""
        options, trouble = super().load()
        names = {name for name in options.domains if not _is_uuid(name)}
        found = [domain for domain in tuple(self._domains()) if domain.name in names]
        if found:
            # A file that cannot be written holds for those domains all the same.
            with contextlib.suppress(OSError, QubesManagerError):
                self.change(lambda document: _bind(document, found))
        for domain in found:
            named = options.domains[domain.name]
            options.domains[domain.key.uuid] = {**named, **options.domains.get(domain.key.uuid, {})}
        for name in {domain.name for domain in found}:
            del options.domains[name]
        return options, trouble

    def put(self, values: dict[str, Value | None], domain: Domain | None = None) -> None:
        """Set values for a domain, or for all; None takes back what was set. Raises BadInput, Refused, OSError."""
        checked = {key: None if value is None else find_option(key).check(value) for key, value in values.items()}

        def edit(document: Document) -> None:
            if domain is None:
                section = _part(document, "global")
            else:
                section = _part(_part(document, "domains"), domain.key.uuid)
                section[NAME] = domain.name
            for key, value in checked.items():
                section.pop(key, None)
                if value is not None:
                    section[key] = value
            if domain is not None and section.keys() == {NAME}:
                del document["domains"][domain.key.uuid]

        self.load()[0].refuse_same_keys(checked, domain.key.uuid if domain else "")
        self.change(edit)

    def rename(self, uuid: str, name: str) -> None:
        """Let the section of a domain say how it is called now. Raises Refused, OSError."""
        if uuid in super().load()[0].domains:
            self.change(lambda document: _part(_part(document, "domains"), uuid).update({NAME: name}))

    def forget(self, domain: Domain) -> None:
        """Take away what was set for a domain that is gone, by its name too. Raises Refused, OSError."""
        gone = {domain.key.uuid, domain.name} & super().load()[0].domains.keys()

        def edit(document: Document) -> None:
            for key in gone:
                _part(document, "domains").pop(key, None)

        if gone:
            self.change(edit)


def _bind(document: Document, domains: Collection[Domain]) -> None:
    sections = _part(document, "domains")
    for domain in domains:
        if domain.name in sections:
            own = sections.get(domain.key.uuid) or {}
            sections[domain.key.uuid] = {NAME: domain.name, **(sections[domain.name] or {}), **own}
    for name in {domain.name for domain in domains}:
        sections.pop(name, None)


def _part(document: Document, key: str) -> Document:
    if document.get(key) is None:
        document[key] = {}
    part = document[key]
    if not isinstance(part, dict):
        raise Refused(
            f"windows.yaml is not written to: what stands under “{key}” is no mapping of names to values; mend it"
        )
    return part


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
