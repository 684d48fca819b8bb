"""What is done with devices when the user says so, from wherever; and how it went."""

from collections.abc import Awaitable, Callable, Iterable

from PySide6.QtWidgets import QDialog, QFileDialog, QWidget

from qubes_manager.core.devices.assignment import Assignment, Mode
from qubes_manager.core.devices.device import Device
from qubes_manager.core.devices.identity import DeviceClass, DeviceName
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import QubesManagerError, Refused, TimedOut
from qubes_manager.core.progress import Progress
from qubes_manager.core.text import one_line
from qubes_manager.models.device_tree import Entry
from qubes_manager.services.assembly import Services
from qubes_manager.services.devices.devices import assignment_of, refuse_denied
from qubes_manager.services.devices.kind import Held, Holder
from qubes_manager.services.devices.notices import DeviceNotices
from qubes_manager.ui.devices.attach_dialog import AttachDialog
from qubes_manager.ui.devices.device_watches import DeviceWatches
from qubes_manager.ui.devices.giving import assigned, default_options, refusal, sole_holder
from qubes_manager.ui.devices.question import agrees, sentence
from qubes_manager.ui.feedback.confirm import finished
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import Button, Level, MessageBar
from qubes_manager.ui.feedback.tasks import Tasks

_BY_FORCE = "What it has not written yet is lost, and what it has open there breaks."


class DeviceCommands:
    """Gives and takes devices. Each method begins it and returns; *notices* say it where the window is not seen."""

    def __init__(
        self,
        window: QWidget,
        services: Services,
        tasks: Tasks,
        messages: MessageBar,
        jobs: Jobs,
        watches: DeviceWatches,
        notices: DeviceNotices,
    ) -> None:
        self._window = window
        self._services = services
        self._tasks = tasks
        self._messages = messages
        self._jobs = jobs
        self._watches = watches
        self._notices = notices

    def attach(self, entry: Entry, key: DomainKey) -> None:
        """Give a device to a domain."""
        self._begin(self._attach(entry, key))

    def attach_new(self, entry: Entry, template: DomainKey, holder: Holder | None = None) -> None:
        """Give a device to a new disposable, which runs until it is shut down; it is taken from *holder* first."""
        self._begin(self._attach_new(entry, template, holder))

    def detach(self, entry: Entry, holder: Holder, *, force: bool = False) -> None:
        """Take a device from a domain."""
        self._begin(self._detach(entry, holder, force=force))

    def move(self, entry: Entry, holder: Holder, key: DomainKey) -> None:
        """Take a device from one domain and give it to another."""
        self._begin(self._move(entry, holder, key))

    def drop(self, entry: Entry, key: DomainKey) -> None:
        """Give a device to the domain that it was dragged onto, from the one that has it if one does."""
        self._begin(self._drop(entry, key))

    def attach_with_options(self, entry: Entry, chosen: DomainKey | None = None) -> None:
        """Ask how a drive is to be attached, and do it."""
        self._begin(self._attach_with_options(entry, chosen))

    def assign(self, device: Device, key: DomainKey, mode: Mode, *, port: bool, ident: bool) -> None:
        """Let a domain have a device whenever it can, by its port, by what it is, or by both."""
        self._begin(self._assign(device, key, mode, port=port, ident=ident))

    def unassign(self, key: DomainKey, assignment: Assignment) -> None:
        """Let a domain not have it by itself any more; what it has now it keeps."""
        self._begin(self._unassign(key, assignment))

    def insert(self, entry: Entry, key: DomainKey, target: str) -> None:
        """Put a disc into a CD-ROM drive of a domain."""
        self._begin(self._insert(entry, key, target))

    def eject(self, holder: Holder) -> None:
        """Take the disc out of a CD-ROM drive of a domain."""
        self._begin(self._eject(holder))

    def add_image(self, chosen: Callable[[str], object] = lambda _path: None) -> None:
        """Ask for an image file and offer it beside the devices; *chosen* is told of it."""
        dialog = QFileDialog(self._window, "Choose a disk image")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self._watches.add_image)
        dialog.fileSelected.connect(chosen)
        dialog.open()

    # How it is done.

    def _begin(self, work: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except QubesManagerError as error:
                self._messages.show_error(error)
                self._notice("That did not work", str(error))
            finally:
                # libvirt tells nothing of some of it, as who hears the microphone; and half of it may be done.
                self._watches.look()

        self._tasks.spawn(guarded())

    def _tell(self, text: str, level: Level = Level.INFO, buttons: Iterable[Button] = ()) -> None:
        self._messages.show_message(level, text, buttons=list(buttons))
        self._notice("Devices", text)

    def _notice(self, title: str, text: str) -> None:
        # From the tray the window may be hidden, or behind others.
        if not self._window.window().isActiveWindow():
            self._notices.say(title, text[:1].upper() + text[1:])

    async def _is_wanted(self, entry: Entry, name: str) -> bool:
        """Whether the user still wants it, who hears what it brings."""
        warnings = self._services.devices.warnings(entry.device)
        return not warnings or await self._agrees(f"Give {entry.called} to {name}?", warnings, "Attach")

    async def _agrees(self, question: str, warnings: Iterable[str], verb: str) -> bool:
        return await agrees(self._window, "Give a device", question, " ".join(map(sentence, warnings)), verb)

    async def _attach(self, entry: Entry, key: DomainKey) -> None:
        domain = self._services.store.require(key)
        refuse_denied(domain, entry.device)
        if await self._is_wanted(entry, f"“{domain.shown_name}”"):
            await self._give(entry, key)

    async def _give(self, entry: Entry, key: DomainKey) -> None:
        device = entry.device
        place = await self._services.devices.attach(key, device, default_options(device))
        self._say_given(entry, key, place)

    def _say_given(self, entry: Entry, key: DomainKey, place: str) -> None:
        domain = self._services.store.get(key)
        name = domain.shown_name if domain else "the domain"
        verb = "has" if domain and domain.state.is_active else "has, from its next start on,"
        where = f" as {place}" if entry.device.klass is DeviceClass.BLOCK else ""
        self._tell(f"“{name}” {verb} {entry.called}{where}.")

    async def _attach_new(self, entry: Entry, template: DomainKey, holder: Holder | None) -> None:
        services, base = self._services, self._services.store.require(template)
        refuse_denied(base, entry.device)
        if not await self._is_wanted(entry, f"a new disposable of “{base.name}”"):
            return

        async def work(progress: Progress) -> DomainKey:
            async with services.disposables.new(template, progress=progress) as key:
                if holder:
                    await services.devices.detach(Held(entry.device, holder), progress=progress)
                progress.step("attaching the device")
                await services.devices.attach(key, entry.device, default_options(entry.device))
                # Without a program of its own it would end at once.
                await services.disposables.keep(key)
            return key

        made = await self._jobs.run(f"A new disposable for {entry.called}", work)
        name = services.store.require(made).shown_name
        self._tell(f"The disposable “{name}” has {entry.called}, and runs until you shut it down.")

    async def _detach(self, entry: Entry, holder: Holder, *, force: bool) -> None:
        name = holder.domain.shown_name
        if force:
            question = f"Detach {entry.called} from “{name}” by force?"
            more = f"“{name}” is not asked. {_BY_FORCE}"
            if not await agrees(self._window, "Detach by force", question, more, "Detach"):
                return
        held = Held(entry.device, holder)
        try:
            said = await self._jobs.run(
                f"Detaching {entry.called} from “{name}”",
                lambda progress: self._services.devices.detach(held, force=force, progress=progress),
            )
        except (Refused, TimedOut) as error:
            if force or entry.device.klass is not DeviceClass.BLOCK or not holder.domain.state.is_active:
                raise
            self._offer_force(entry, holder, error)
        else:
            self._tell(sentence(said))

    def _offer_force(self, entry: Entry, holder: Holder, error: QubesManagerError) -> None:
        again = ("Try again", lambda: self.detach(entry, holder))
        by_force = ("Detach by force…", lambda: self.detach(entry, holder, force=True))
        self._tell(sentence(str(error)), Level.WARNING, [again, by_force])

    async def _drop(self, entry: Entry, key: DomainKey) -> None:
        holder = sole_holder(entry, but=key)
        domain = self._possible(entry, key, holder)
        if holder is None:
            await self._attach(entry, key)
            return
        # A hand slips; a menu says from whom it is taken, and a drag does not.
        question = f"Take {entry.called} from “{holder.domain.shown_name}” and give it to “{domain.shown_name}”?"
        if await self._agrees(question, self._services.devices.warnings(entry.device), "Move"):
            await self._take_over(entry, holder, key)

    async def _move(self, entry: Entry, holder: Holder, key: DomainKey) -> None:
        domain = self._possible(entry, key, holder)
        if await self._is_wanted(entry, f"“{domain.shown_name}”"):
            await self._take_over(entry, holder, key)

    def _possible(self, entry: Entry, key: DomainKey, holder: Holder | None) -> Domain:
        """The domain that is to have a device; raises Refused where it cannot, while *holder* has it still."""
        domain = self._services.store.require(key)
        refuse_denied(domain, entry.device)
        if why := refusal(entry, domain, moving=holder):
            raise Refused(f"{why}; nothing was changed")
        return domain

    async def _take_over(self, entry: Entry, holder: Holder, key: DomainKey) -> None:
        # The question may have stood for a while.
        domain = self._possible(entry, key, holder)
        held, options = Held(entry.device, holder), default_options(entry.device)
        try:
            place = await self._jobs.run(
                f"Moving {entry.called} from “{holder.domain.shown_name}” to “{domain.shown_name}”",
                lambda progress: self._services.devices.move(held, key, options, progress=progress),
            )
        except (Refused, TimedOut) as error:
            there = self._services.store.get(holder.domain.key)
            if entry.device.klass is not DeviceClass.BLOCK or not (there and there.state.is_active):
                raise
            if not any(disk.target == holder.place for disk in there.config.disks):
                raise
            self._offer_force(entry, holder, error)
        else:
            self._say_given(entry, key, place)

    async def _attach_with_options(self, entry: Entry, chosen: DomainKey | None) -> None:
        dialog = AttachDialog(self._window, entry, self.domains_for(entry), chosen)
        if await finished(dialog) != QDialog.DialogCode.Accepted:
            return
        key, request = dialog.target, dialog.request()
        refuse_denied(self._services.store.require(key), entry.device)
        place = await self._services.block_devices.attach(key, request)
        self._say_given(entry, key, place)

    def domains_for(self, entry: Entry) -> list[Domain]:
        """The domains of the machine that the device is at, of all its connections."""
        uris = self._watches.uris_of(entry.key[0])
        return [domain for uri in uris for domain in self._services.store.of_host(uri)]

    async def _assign(self, device: Device, key: DomainKey, mode: Mode, *, port: bool, ident: bool) -> None:
        domain = self._services.store.require(key)
        refuse_denied(domain, device)
        warnings = list(self._services.devices.warnings(device))
        if device.klass is DeviceClass.MIC and mode is Mode.AUTO:
            warnings.append(f"“{domain.shown_name}” then hears from its start on, at each start, and nobody is asked")
        called = one_line(device.name, 120)
        if warnings and not await self._agrees(f"Always give {called} to “{domain.shown_name}”?", warnings, "Assign"):
            return
        name = DeviceName(device.port, device.ident)
        assignment = assignment_of(device, device.klass, name, mode, (), port=port, ident=ident)
        before = assigned(domain, device)
        await self._services.devices.assign(key, assignment)
        if before and before.name != assignment.name:
            # What was so in another way would hold beside it.
            await self._services.devices.unassign(key, before.__eq__)
        self._tell(f"“{domain.shown_name}” {_MODE_WORDS[mode]} {device.name}.")

    async def _unassign(self, key: DomainKey, assignment: Assignment) -> None:
        await self._services.devices.unassign(key, assignment.__eq__)
        name = self._services.store.require(key).shown_name
        self._tell(f"“{name}” does not get it by itself any more; what it has now it keeps.")

    async def _insert(self, entry: Entry, key: DomainKey, target: str) -> None:
        await self._services.block_devices.insert(key, target, getattr(entry.device, "path", entry.device.port))
        name = self._services.store.require(key).shown_name
        self._tell(f"{entry.title} is in the CD drive {target} of “{name}”.")

    async def _eject(self, holder: Holder) -> None:
        await self._services.block_devices.eject(holder.domain.key, holder.place)
        self._tell(f"The CD drive {holder.place} of “{holder.domain.shown_name}” is empty.")


_MODE_WORDS = {
    Mode.AUTO: "gets it by itself from now on, whenever it runs and the device is there:",
    Mode.ASK: "is to get it whenever the device comes and you agree:",
    Mode.REQUIRED: "does not start any more without it:",
}
