"""Files that are dragged: the host's, from any program, and a domain's, from our own list."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QMimeData, QUrl

from qubes_manager.core.domain import DomainKey

# Of this program alone; what it holds is read as any stranger's all the same.
_TYPE = "application/x-qubes-manager-files"
_MOST = 5000


@dataclass(frozen=True, slots=True)
class DraggedFiles:
    """Whole paths on one side: of a domain, or of this machine (None)."""

    source: DomainKey | None
    paths: tuple[str, ...]


def to_mime(source: DomainKey, paths: Sequence[str]) -> QMimeData:
    """A domain's files, for a drag."""
    data = QMimeData()
    data.setData(_TYPE, json.dumps({"connection": source.connection, "uuid": source.uuid, "paths": paths}).encode())
    return data


def holds_files(data: QMimeData) -> bool:
    """Whether files are dragged; looks at no more than is needed while the mouse moves."""
    return data.hasFormat(_TYPE) or any(url.isLocalFile() for url in data.urls()[:1])


def of_mime(data: QMimeData) -> DraggedFiles | None:
    """What is dragged, if it is files."""
    if data.hasFormat(_TYPE):
        return _of_domain(bytes(data.data(_TYPE).data()))
    paths = tuple(QUrl(url).toLocalFile() for url in data.urls()[:_MOST] if url.isLocalFile())
    return DraggedFiles(None, paths) if paths else None


def _of_domain(text: bytes) -> DraggedFiles | None:
    try:
        values = json.loads(text)
        paths = tuple(path for path in values["paths"][:_MOST] if isinstance(path, str) and path.startswith("/"))
        source = DomainKey(str(values["connection"]), str(values["uuid"]))
    except (ValueError, KeyError, TypeError):
        return None
    return DraggedFiles(source, paths) if paths else None
