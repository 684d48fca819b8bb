"""What happens when files are to be copied to or from a domain."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import PurePath

from PySide6.QtWidgets import QDialog, QWidget

from qubes_manager.core.crossing.broker_messages import TransferStatus
from qubes_manager.core.crossing.copying import Arrived
from qubes_manager.core.crossing.file_requests import CopyReport, FilesArrived
from qubes_manager.core.crossing.transfer_words import how_far
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import Refused
from qubes_manager.core.operations import OPERATIONS, Operation, Risk
from qubes_manager.core.progress import Progress
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_cell
from qubes_manager.services.crossing.file_copies import Copy, FileCopies
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.ui.dialogs.files_dialog import FilesDialog
from qubes_manager.ui.dialogs.hint_dialog import Spawn
from qubes_manager.ui.dialogs.open_files_dialog import ConvertFilesDialog, OpenFilesDialog
from qubes_manager.ui.dialogs.send_dialog import SendDialog
from qubes_manager.ui.feedback.confirm import Confirmation, finished
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import Level, MessageBar
from qubes_manager.ui.look.dragged_files import DraggedFiles

# A mouse slips easily.
_DROP = Operation("drop-files", "Copy files to", lambda _domain: True, Risk.STATE, "All programs there can read them.")


class FileCommands:
    """Lets the user choose files, copies them, and says what has become of them. Raises QubesManagerError."""

    def __init__(
        self,
        window: QWidget,
        store: DomainStore,
        copies: FileCopies,
        messages: MessageBar,
        jobs: Jobs,
        confirmation: Confirmation,
        spawn: Spawn,
    ) -> None:
        self._window = window
        self._store = store
        self._copies = copies
        self._messages = messages
        self._jobs = jobs
        self._confirmation = confirmation
        self._spawn = spawn
        copies.arrived.connect(self._on_arrival)

    async def send(self, domain: Domain) -> None:
        """Let the user choose files and folders of this machine, and send them to a domain."""
        dialog = SendDialog(self._window, domain)
        if await finished(dialog) == QDialog.DialogCode.Accepted:
            await self.copy(dialog.copy, domain.name)

    async def fetch(self, domain: Domain) -> None:
        """Show a domain's files, and copy those that the user chooses."""
        applies = OPERATIONS["send-files"].applies
        others = self._store.of_host(domain.key.connection)
        targets = [other for other in others if applies(other) and other.key != domain.key]
        bases = [other for other in others if other.config.template_for_dispvms]
        dialog = FilesDialog(self._window, domain, targets, bases, self._copies, self._spawn)
        if await finished(dialog, modal=False) != QDialog.DialogCode.Accepted:
            return
        copy = dialog.copy
        if base := dialog.base:
            await self.open_dropped(DraggedFiles(copy.source, tuple(copy.paths)), base.key, view_only=True)
        else:
            await self.copy(copy, dialog.target_name)

    async def drop(self, dragged: DraggedFiles, target: Domain) -> None:
        """Copy what was dropped on a domain, or on the host, after asking."""
        if dragged.source == target.key or (dragged.source is None and target.is_host):
            raise Refused(f"the files are in “{target.name}” already")
        if dragged.source and dragged.source.connection != target.key.connection:
            raise Refused("the two domains are on two connections")
        names = [one_cell(PurePath(path).name) for path in dragged.paths]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        if await self._confirmation.ask(_DROP, [target], f"{', '.join(names[:3])}{more}."):
            key = None if target.is_host else target.key
            await self.copy(Copy(target.key.connection, dragged.source, key, dragged.paths), target.name)

    async def open(self, uri: str, base: Domain, *, view_only: bool) -> None:
        """Let the user choose files and folders of this machine, and open them in a new disposable of *base*."""
        dialog = OpenFilesDialog(self._window, base.shown_name, view_only=view_only)
        if await finished(dialog) == QDialog.DialogCode.Accepted:
            await self.open_these(uri, dialog.paths, view_only=view_only, template=base.key)

    async def convert(self, uri: str, base: Domain) -> None:
        """Let the user choose PDF files and pictures of this machine, and make clean copies of them."""
        dialog = ConvertFilesDialog(self._window, base.shown_name)
        if await finished(dialog) != QDialog.DialogCode.Accepted:
            return

        def work(progress: Progress) -> Awaitable[CopyReport]:
            return self._copies.convert(
                uri, dialog.paths, on_status=_showing(progress), is_stopped=lambda: progress.is_cancelled
            )

        self._tell_remarks(await self._jobs.run(f"Making clean copies of {_names(dialog.paths)}", work))

    async def open_dropped(self, dragged: DraggedFiles, template: DomainKey, *, view_only: bool) -> None:
        """Open what was dropped on the disposables of a template in a new one."""
        if dragged.source and dragged.source.connection != template.connection:
            raise Refused("the domain and the disposable would be on two connections")
        await self.open_these(
            template.connection, dragged.paths, view_only=view_only, template=template, source=dragged.source
        )

    async def open_these(
        self,
        uri: str,
        paths: Sequence[str],
        *,
        view_only: bool,
        template: DomainKey | None = None,
        source: DomainKey | None = None,
    ) -> None:
        """Open files of *source* (None: this machine) in a new disposable of *template* (None: the default)."""
        verb = "View" if view_only else "Edit"

        def work(progress: Progress) -> Awaitable[CopyReport]:
            return self._copies.open(
                uri,
                paths,
                view_only=view_only,
                template=template,
                source=source,
                on_status=_showing(progress),
                is_stopped=lambda: progress.is_cancelled,
            )

        self._tell_remarks(await self._jobs.run(f"{verb}ing {_names(paths)} in a disposable", work))

    def _tell_remarks(self, report: CopyReport) -> None:
        if report.remarks:
            level = Level.WARNING if report.is_partial else Level.INFO
            self._messages.show_message(level, ". ".join(report.remarks[:3]), details="\n".join(report.remarks))

    async def copy(self, copy: Copy, target: str) -> None:
        """Copy, with a bar, and say what has become of it."""

        def work(progress: Progress) -> Awaitable[CopyReport]:
            return self._copies.copy(copy, on_status=_showing(progress), is_stopped=lambda: progress.is_cancelled)

        title = f"Copying {_names(copy.paths)} to “{target}”"
        report = await self._jobs.run(title, work)
        self._tell(report, _names(copy.paths), target)

    def _tell(self, report: CopyReport, what: str, target: str) -> None:
        details = [*report.remarks, *_digests(report.files)]
        has_more = report.is_partial or bool(report.remarks)
        self._messages.show_message(
            Level.WARNING if has_more else Level.INFO,
            f"{what} ({format_size(report.size)}): in {report.folder} of “{target}”"
            + (f". {report.remarks[0]}" if has_more else ""),
            details="\n".join(details),
        )

    def _on_arrival(self, news: FilesArrived) -> None:
        count = f"{news.count} file{'' if news.count == 1 else 's'}"
        self._messages.show_message(
            Level.INFO,
            f"“{news.source}” has sent {count} ({format_size(news.size)}) to this machine, into {news.folder}",
            details="\n".join(_digests(news.files)),
            stays=True,
        )


def _showing(progress: Progress) -> Callable[[TransferStatus], None]:
    return lambda status: progress.update(how_far(status), status.moved, status.total)


def _digests(files: Sequence[Arrived]) -> list[str]:
    lines = [f"{file.sha256}  {file.size:>12,}  {one_cell(file.name)}" for file in files]
    return ["SHA-256, bytes, and name:", *lines] if lines else []


def _names(paths: Sequence[str]) -> str:
    first = one_cell(PurePath(paths[0]).name)
    return f"{first} and {len(paths) - 1} more" if len(paths) > 1 else first
