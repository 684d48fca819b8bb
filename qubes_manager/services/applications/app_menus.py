"""Domains' applications in the menu of the host's desktop: a submenu of its own for each domain."""

import asyncio
import contextlib
import hashlib
import re
import shutil
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from qubes_manager.backend.user.app_icons import app_icon
from qubes_manager.backend.user.small_files import write_all, write_whole
from qubes_manager.core.applications import Application
from qubes_manager.core.desktop_entry import desktop_entry, exec_line, submenu
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.labels import LABELS
from qubes_manager.core.text import one_line
from qubes_manager.services.files.user_folders import UserFolders

_PREFIX = "qubes-manager-"
# What stands before a disposable template's name where its applications are each started in a disposable.
DISPOSABLE = "Disposable"
# File names have at most 255 bytes; before the id come our prefix and a UUID, behind it a digest and the ending.
_MOST_OF_ID = 120
_OURS = re.compile(_PREFIX + r"([0-9a-f-]{36})\b")


def launcher() -> str:
    """The path of the command that starts applications."""
    beside = Path(sys.executable).with_name("qubes-manager")
    return str(beside) if beside.exists() else shutil.which("qubes-manager") or "qubes-manager"


def _digest(domain: Domain, applications: Sequence[Application]) -> bytes:
    shown = (domain.name, domain.label, domain.key, domain.config.template_for_dispvms, launcher())
    seen = hashlib.sha256(repr(shown).encode())
    for app in applications:
        seen.update(repr((app.id, app.name, app.comment, zlib.crc32(app.icon))).encode())
    return seen.hexdigest().encode()


def file_stems(applications: Iterable[Application]) -> dict[Application, str]:
    """Return a file's name for each application: its id, unless that is too long, or another's but for case."""
    applications = list(applications)
    uses = Counter(app.id.casefold() for app in applications)

    def stem(app: Application) -> str:
        if len(app.id) <= _MOST_OF_ID and uses[app.id.casefold()] == 1:
            return app.id
        return f"{app.id[:_MOST_OF_ID]}~{hashlib.sha256(app.id.encode()).hexdigest()[:16]}"

    return {app: stem(app) for app in applications}


class AppMenus:
    """Writes and removes the files of the desktop's menu; each belongs to one domain, by its UUID."""

    def __init__(self, folders: UserFolders) -> None:
        self._applications = folders.data / "applications"
        self._directories = folders.data / "desktop-directories"
        self._menus = folders.config / "menus/applications-merged"
        self._icons = folders.icons
        self._shown: set[str] | None = None

    async def update(self, domain: Domain, applications: Sequence[Application]) -> int:
        """Let the menu show these applications of a domain, and no others; returns how many files changed."""
        if self._shown is None:
            self._shown = await asyncio.to_thread(self._uuids)
        uuid = domain.key.uuid
        if not applications and uuid not in self._shown:
            # Of thousands of domains few have applications: the others cost nothing.
            return 0
        (self._shown.add if applications else self._shown.discard)(uuid)
        return await self._change(self._update_now, domain, applications)

    async def remove(self, uuid: str) -> int:
        """Take a domain out of the menu; returns how many files went."""
        return await self._change(self._remove_now, uuid)

    async def _change(self, work: Callable[..., int], *args: object) -> int:
        try:
            return await asyncio.to_thread(work, *args)
        except OSError as error:
            raise QubesManagerError(f"the desktop’s menu cannot be changed: {error}") from error

    def _update_now(self, domain: Domain, applications: Sequence[Application]) -> int:
        if not applications:
            return self._remove_now(domain.key.uuid)
        # Pictures are drawn and files compared only when something is different from last time.
        state, digest = self._icons / domain.key.uuid / "state", _digest(domain, applications)
        with contextlib.suppress(OSError):
            if state.read_bytes() == digest:
                return 0
        wanted = dict(self._files(domain, applications))
        changed = write_all(wanted)
        gone = [path for path in self._present(domain.key.uuid) if path not in wanted]
        for path in gone:
            path.unlink(missing_ok=True)
        changed += len(gone)
        write_whole(state, digest)
        return changed

    def _remove_now(self, uuid: str) -> int:
        paths = list(self._present(uuid))
        for path in paths:
            path.unlink(missing_ok=True)
        (self._icons / uuid / "state").unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (self._icons / uuid).rmdir()
        return len(paths)

    def _uuids(self) -> set[str]:
        return {match[1] for path in self._all() if (match := _OURS.match(path.name))}

    def _all(self) -> Iterable[Path]:
        for folder in (self._applications, self._directories, self._menus):
            yield from folder.glob(f"{_PREFIX}*")

    def _present(self, uuid: str) -> Iterable[Path]:
        yield from (path for path in self._all() if (match := _OURS.match(path.name)) and match[1] == uuid)
        yield from (self._icons / uuid).glob("*.png")

    def _files(self, domain: Domain, applications: Sequence[Application]) -> Iterable[tuple[Path, bytes]]:
        yield from self._group(domain, applications)
        if domain.config.template_for_dispvms:
            yield from self._group(domain, applications, in_disposable=True)

    def _group(
        self, domain: Domain, applications: Sequence[Application], *, in_disposable: bool = False
    ) -> Iterable[tuple[Path, bytes]]:
        """A submenu; *in_disposable* each application is started in a disposable of its own."""
        uuid, label = domain.key.uuid, domain.label or LABELS["red"]
        name = one_line(f"{DISPOSABLE}: {domain.name}" if in_disposable else domain.name, 80)
        kind = ".disposable" if in_disposable else ""
        base, category = f"{_PREFIX}{uuid}{kind}", f"X-Qubes-{uuid}{kind}"
        option = ["--dispvm"] if in_disposable else []
        patch = self._icons / uuid / "domain.png"
        yield patch, app_icon(b"", label.colour)
        directory = {"Type": "Directory", "Name": name, "Icon": str(patch)}
        yield self._directories / f"{base}.directory", desktop_entry(directory).encode()
        yield self._menus / f"{base}.menu", submenu(base, f"{base}.directory", category).encode()
        for app, stem in file_stems(applications).items():
            icon = self._icons / uuid / f"{stem}.png"
            yield icon, app_icon(app.icon, label.colour)
            # A name may be another domain's tomorrow. The application's id was checked when its list was read.
            words = [launcher(), "run", "--connect", domain.key.connection, *option, "--", uuid, app.id]
            entry = {
                "Type": "Application",
                "Name": f"{name}: {app.name}",
                "Comment": app.comment,
                "Icon": str(icon),
                "Exec": exec_line(words),
                "Terminal": "false",
                "StartupNotify": "true",
                "Categories": f"{category};",
                "X-Qubes-VmName": name,
                "X-Qubes-AppName": app.id,
                "X-Qubes-Label": label.name,
            }
            yield self._applications / f"{base}-{stem}.desktop", desktop_entry(entry).encode()
