"""The logs that can be read: a domain's, libvirt's, our own."""

import asyncio
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from qubes_manager.backend.host import log_files
from qubes_manager.backend.host.daemon_paths import daemon_paths
from qubes_manager.backend.host.log_files import Piece as Piece
from qubes_manager.backend.host.log_files import network_log
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import NotFound
from qubes_manager.services.files.log_paths import LogPaths

# The title of the log of the last template that was built.
BUILD_LOG = "Building a template"
_QEMU = "QEMU log of"


@dataclass(frozen=True, slots=True)
class LogSource:
    """A log: its title and file, and what is to be known of it; without a file it is the system journal."""

    title: str
    path: Path | None
    note: str = ""


class Logs:
    """Finds logs and reads them, never on the caller's thread."""

    def __init__(self, paths: LogPaths) -> None:
        self._paths = paths

    async def sources(self, domain: Domain | None, uri: str) -> list[LogSource]:
        """Return the logs of a domain (when given), of its host's libvirt, and of this program."""
        return await asyncio.to_thread(_sources_now, domain, uri, self._paths)

    async def read(self, source: LogSource, end: int | None = None) -> Piece:
        """Return the last MiB before the offset *end*; raises NotFound, Refused."""
        if source.path is None:
            data = await asyncio.to_thread(log_files.read_journal)
            return Piece(data, 0, len(data), 0)
        return await asyncio.to_thread(log_files.read_piece, source.path, end)

    async def read_growth(self, source: LogSource, after: Piece) -> Piece:
        """Return what came since the piece *after*; empty for the journal, which is read whole each time."""
        if source.path is None:
            return replace(after, data=b"", start=after.end)
        return await asyncio.to_thread(log_files.read_growth, source.path, after)

    async def save(self, source: LogSource, target: Path) -> int:
        """Write the whole log to *target* and return its size in bytes."""
        if source.path is None:
            data = await asyncio.to_thread(log_files.read_journal)
            return await asyncio.to_thread(target.write_bytes, data)
        return await asyncio.to_thread(log_files.copy_log, source.path, target)


def _sources_now(domain: Domain | None, uri: str, own: LogPaths) -> list[LogSource]:
    paths = daemon_paths(uri)
    candidates: list[tuple[str, Path]] = []
    if domain and not domain.is_host:
        if paths:
            candidates.append((f"{_QEMU} {domain.name}", paths.qemu_logs / f"{domain.name}.log"))
        if domain.config.console_log and paths:
            candidates.append((f"Console of {domain.name}", Path(domain.config.console_log)))
        if paths:
            candidates.append((f"Network of {domain.name}", network_log(paths.volumes, domain.key.uuid)))
        candidates.append((f"Windows of {domain.name}", own.gui(domain.key.uuid)))
    for path in paths.daemon_logs if paths else ():
        candidates.append((f"libvirt ({path.stem})", path))
    candidates.append(("Qubes Manager", own.manager))
    candidates.append(("What crosses between domains", own.broker))
    candidates.append((BUILD_LOG, own.template_build))
    found = [LogSource(title, path, _note(title)) for title, path in log_files.existing(iter(candidates))]
    if uri.startswith("qemu:///system") and shutil.which("journalctl"):
        found.append(LogSource("libvirt (system journal)", None))
    if not found:
        raise NotFound("there are no logs here: they are on the machine that runs the domain")
    return found


def _note(title: str) -> str:
    if title.startswith(_QEMU):
        return "libvirt names this file after the domain: it may have lines of an earlier one of that name"
    return ""
