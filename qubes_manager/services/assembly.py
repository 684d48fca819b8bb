"""The one wiring of all services."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from qubes_manager.services.devices.wiring import DeviceServices
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore

if TYPE_CHECKING:
    from qubes_manager.core.domain import Domain
    from qubes_manager.core.settlement import Settlement
    from qubes_manager.services.applications.app_lists import AppLists
    from qubes_manager.services.applications.app_menus import AppMenus
    from qubes_manager.services.applications.domain_files import DomainFiles
    from qubes_manager.services.applications.menu_keeper import MenuKeeper
    from qubes_manager.services.crossing.clipboard import Clipboards
    from qubes_manager.services.crossing.file_copies import FileCopies
    from qubes_manager.services.crossing.links import BrokerLinks
    from qubes_manager.services.disposables.disposables import Disposables
    from qubes_manager.services.disposables.leftovers import Leftovers
    from qubes_manager.services.disposables.preloaded import PreloadedDisposables
    from qubes_manager.services.disposables.starting import DisposableStarts
    from qubes_manager.services.domains.caretaker import Caretaker
    from qubes_manager.services.domains.guest_commands import GuestCommands
    from qubes_manager.services.domains.guest_tools import GuestTools
    from qubes_manager.services.domains.lifecycle import Lifecycle
    from qubes_manager.services.domains.properties import Properties
    from qubes_manager.services.domains.recovery import Recovery
    from qubes_manager.services.domains.removal import Removal
    from qubes_manager.services.domains.sound import Sound
    from qubes_manager.services.gui.launching import Launching
    from qubes_manager.services.gui.links import GuiLinks
    from qubes_manager.services.gui.service import GuiService
    from qubes_manager.services.gui.settings import GuiSettings
    from qubes_manager.services.hosts.usage_poller import UsagePoller
    from qubes_manager.services.hosts.virt_types import VirtTypes
    from qubes_manager.services.making.cloning import Cloning
    from qubes_manager.services.making.creation import Creation
    from qubes_manager.services.making.promotion import Promotion
    from qubes_manager.services.making.template_build import TemplateBuild
    from qubes_manager.services.making.vpn import Vpn
    from qubes_manager.services.network.firewalls import Firewalls
    from qubes_manager.services.network.isolation import Isolation
    from qubes_manager.services.setup.demo import Demo
    from qubes_manager.services.setup.first_setup import FirstSetup
    from qubes_manager.services.setup.host_check import HostCheck
    from qubes_manager.services.volumes.domain_volumes import DomainVolumes
    from qubes_manager.services.volumes.frozen_copies import FrozenCopies
    from qubes_manager.services.volumes.storage_pools import StoragePools
    from qubes_manager.services.volumes.template_roots import TemplateRoots


class Services(DeviceServices):
    """One of each service over the same hosts and store, made when it is first asked for.

    So a command loads what it uses and nothing else, and nobody has a copy of his own of anything. *on_settled* is
    told what becomes of templates' runs, whoever settles them.
    """

    def __init__(
        self, hosts: Hosts, store: DomainStore, *, on_settled: "Callable[[Settlement], None] | None" = None
    ) -> None:
        super().__init__(hosts, store)
        self._on_settled = on_settled

    @classmethod
    def connecting(cls, *, watch: bool, on_settled: "Callable[[Settlement], None] | None" = None) -> "Services":
        """Services without a connection yet; with *watch* their hosts hear events."""
        store = DomainStore()
        return cls(Hosts(store, watch=watch), store, on_settled=on_settled)

    # Hosts and what is on them.

    @cached_property
    def virt_types(self) -> "VirtTypes":
        """KVM or software emulation."""
        from qubes_manager.services.hosts.virt_types import VirtTypes

        return VirtTypes(self.hosts)

    @cached_property
    def poller(self) -> "UsagePoller":
        """Live figures."""
        from qubes_manager.services.hosts.usage_poller import UsagePoller

        return UsagePoller(self.hosts, self.store)

    @cached_property
    def file_copies(self) -> "FileCopies":
        """Domains' files, and copies of them."""
        from qubes_manager.services.crossing.file_copies import FileCopies

        return FileCopies(self.broker_links)

    @cached_property
    def clipboards(self) -> "Clipboards":
        """The inter-domain clipboards."""
        from qubes_manager.services.crossing.clipboard import Clipboards

        return Clipboards(self.broker_links)

    @cached_property
    def broker_links(self) -> "BrokerLinks":
        """The ways to the brokers."""
        from qubes_manager.services.crossing.links import BrokerLinks

        return BrokerLinks()

    @cached_property
    def pools(self) -> "StoragePools":
        """Storage pools."""
        from qubes_manager.services.volumes.storage_pools import StoragePools

        return StoragePools(self.hosts)

    @cached_property
    def frozen_copies(self) -> "FrozenCopies":
        """What disposables start from."""
        from qubes_manager.services.volumes.frozen_copies import FrozenCopies

        return FrozenCopies(self.hosts, self.store, self.uses)

    @cached_property
    def roots(self) -> "TemplateRoots":
        """Templates' revisions."""
        from qubes_manager.services.volumes.template_roots import TemplateRoots

        roots = TemplateRoots(self.hosts, self.store, self.uses, self.frozen_copies)
        if self._on_settled:
            roots.settled.connect(self._on_settled)
        return roots

    @cached_property
    def volumes(self) -> "DomainVolumes":
        """Domains' volumes."""
        from qubes_manager.services.volumes.domain_volumes import DomainVolumes

        return DomainVolumes(
            self.hosts,
            self.store,
            self.uses,
            self.roots,
            lambda key, line: self.commands.run(key, line, user="root", startup_timeout=2),
        )

    # Domains.

    @cached_property
    def lifecycle(self) -> "Lifecycle":
        """The power actions."""
        from qubes_manager.services.domains.lifecycle import Lifecycle

        return Lifecycle(
            self.hosts,
            self.store,
            self.roots,
            self.sound,
            self.isolation,
            self.firewalls,
            self.assigned_devices,
            lambda key: self.lists.refresh(key),
        )

    @cached_property
    def sound(self) -> "Sound":
        """What is heard of domains."""
        from qubes_manager.services.domains.sound import Sound

        return Sound(self.hosts, self.store, self.microphones)

    @cached_property
    def isolation(self) -> "Isolation":
        """Networks of domains' own."""
        from qubes_manager.services.network.isolation import Isolation

        return Isolation(self.hosts)

    @cached_property
    def firewalls(self) -> "Firewalls":
        """What domains' networks let through."""
        from qubes_manager.services.network.firewalls import Firewalls

        return Firewalls(self.hosts, self.store, self.isolation)

    @cached_property
    def commands(self) -> "GuestCommands":
        """Commands in guests."""
        from qubes_manager.services.domains.guest_commands import GuestCommands

        return GuestCommands(self.hosts, self.store, self.lifecycle, self.gui_options)

    @cached_property
    def guest_tools(self) -> "GuestTools":
        """Our programs in guests."""
        from qubes_manager.services.domains.guest_packages import GuestPackages
        from qubes_manager.services.domains.guest_tools import GuestTools

        packages = GuestPackages(self.commands, self.folders.guests)
        return GuestTools(self.hosts, self.store, self.lifecycle, self.commands, packages)

    @cached_property
    def properties(self) -> "Properties":
        """What is set of domains."""
        from qubes_manager.services.domains.properties import Properties

        return Properties(
            self.hosts, self.store, self.gui_options, self.frozen_copies, self.sound, self.isolation, self.firewalls
        )

    @cached_property
    def removal(self) -> "Removal":
        """Taking domains away."""
        from qubes_manager.services.domains.removal import Removal

        return Removal(self.hosts, self.store, self.uses, self.roots, self.forget)

    @cached_property
    def recovery(self) -> "Recovery":
        """Putting in order what a program that died had begun."""
        from qubes_manager.services.domains.recovery import Recovery

        return Recovery(self.hosts, self.store, self.uses, self.roots)

    @cached_property
    def caretaker(self) -> "Caretaker":
        """What does the rest when a run has ended, or a program has died."""
        from qubes_manager.services.domains.caretaker import Caretaker

        return Caretaker(self.store, self.roots, self.recovery, self.volumes.to_qcow2)

    # Their applications.

    @cached_property
    def lists(self) -> "AppLists":
        """The lists of applications."""
        from qubes_manager.services.applications.app_lists import AppLists

        return AppLists(self.store, self.commands, self.folders.applications)

    @cached_property
    def menus(self) -> "AppMenus":
        """The desktop's menu."""
        from qubes_manager.services.applications.app_menus import AppMenus

        return AppMenus(self.folders)

    @cached_property
    def menu_keeper(self) -> "MenuKeeper":
        """What keeps the desktop's menu true."""
        from qubes_manager.services.applications.menu_keeper import MenuKeeper

        return MenuKeeper(self.store, self.lists, self.menus)

    async def forget(self, domain: "Domain") -> None:
        """Take away what there is of a domain that is gone; raises HostUnreachable, TimedOut."""
        await self.domain_files.forget(domain)
        await self.firewalls.forget(domain)

    @cached_property
    def domain_files(self) -> "DomainFiles":
        """What the user's files hold of a domain."""
        from qubes_manager.services.applications.domain_files import DomainFiles

        return DomainFiles(self.menus, self.folders.applications, self.gui_options, self.log_paths)

    # Making.

    @cached_property
    def creation(self) -> "Creation":
        """Making domains."""
        from qubes_manager.services.making.creation import Creation

        return Creation(self.hosts, self.store, self.uses, self.roots, self.virt_types, self.isolation)

    @cached_property
    def vpn(self) -> "Vpn":
        """Making domains that lead others through a tunnel."""
        from qubes_manager.services.making.vpn import Vpn

        return Vpn(
            self.store, self.isolation, self.creation, self.firewalls, self.lifecycle, self.commands, self.removal
        )

    @cached_property
    def cloning(self) -> "Cloning":
        """Copies of domains."""
        from qubes_manager.services.making.cloning import Cloning

        return Cloning(self.hosts, self.store, self.uses, self.roots)

    @cached_property
    def promotion(self) -> "Promotion":
        """Templates of installed systems."""
        from qubes_manager.services.making.promotion import Promotion

        return Promotion(self.hosts, self.store, self.uses, self.volumes)

    @cached_property
    def templates(self) -> "TemplateBuild":
        """Templates of packages."""
        from qubes_manager.services.making.template_build import TemplateBuild

        return TemplateBuild(
            self.hosts, self.store, self.virt_types, self.isolation, self.log_paths.template_build, self.folders.guests
        )

    @cached_property
    def setup(self) -> "FirstSetup":
        """From an empty machine to the first domains."""
        from qubes_manager.services.setup.first_setup import FirstSetup

        return FirstSetup(self.store, self.templates, self.creation, self.defaults)

    @cached_property
    def demo(self) -> "Demo":
        """Small domains to try the program with."""
        from qubes_manager.services.setup.demo import Demo

        return Demo(self.hosts, self.store, self.uses, self.removal, self.virt_types, self.folders.guests)

    @cached_property
    def host_check(self) -> "HostCheck":
        """Whether a machine can do what is wanted of it."""
        from qubes_manager.services.setup.host_check import HostCheck

        return HostCheck(self.hosts, self.isolation)

    # Disposables.

    @cached_property
    def leftovers(self) -> "Leftovers":
        """What crashes leave of disposables."""
        from qubes_manager.services.disposables.leftovers import Leftovers

        return Leftovers(self.hosts, self.store, self.uses)

    @cached_property
    def disposable_starts(self) -> "DisposableStarts":
        """Starting disposables."""
        from qubes_manager.services.disposables.numbers import DisposableNumbers
        from qubes_manager.services.disposables.starting import DisposableStarts

        numbers = DisposableNumbers(self.folders.disposable_numbers)
        return DisposableStarts(
            self.hosts,
            self.store,
            self.roots,
            self.frozen_copies,
            self.leftovers,
            numbers,
            self.sound,
            self.isolation,
            self.lifecycle,
        )

    @cached_property
    def preloaded(self) -> "PreloadedDisposables":
        """Disposables that are ready before anybody wants one."""
        from qubes_manager.services.disposables.preloaded import PreloadedDisposables

        return PreloadedDisposables(self.hosts, self.store, self.disposable_starts, self.commands)

    @cached_property
    def disposables(self) -> "Disposables":
        """Domains that are gone when they stop."""
        from qubes_manager.services.disposables.disposables import Disposables

        return Disposables(
            self.hosts,
            self.store,
            self.disposable_starts,
            self.preloaded,
            self.frozen_copies,
            self.lifecycle,
            self.commands,
            self.defaults,
            self.ensure_broker,
            self.forget,
        )

    # Guests' windows.

    @cached_property
    def links(self) -> "GuiLinks":
        """The ways to the programs that show windows."""
        from qubes_manager.services.gui.links import GuiLinks

        return GuiLinks(self.store)

    def gui_service(self, uri: str, grace: float) -> "GuiService":
        """The program that shows the windows of one connection; it stays *grace* seconds without work."""
        from qubes_manager.services.gui.service import GuiService

        return GuiService(
            uri,
            self.hosts,
            self.store,
            self.lists,
            self.menu_keeper,
            self.broker_links,
            self.lifecycle,
            self.gui_options,
            self.log_paths,
            grace,
        )

    @cached_property
    def launching(self) -> "Launching":
        """Starting applications."""
        from qubes_manager.services.gui.launching import Launching

        return Launching(self.store, self.commands, self.lifecycle, self.links, self.disposables)

    @cached_property
    def gui_settings(self) -> "GuiSettings":
        """Changing the options of windows."""
        from qubes_manager.services.gui.settings import GuiSettings

        return GuiSettings(self.links, self.gui_options)

    # What crosses between domains.

    async def ensure_broker(self, uri: str) -> None:
        """Start the broker of a connection where there is none; raises QubesManagerError."""
        await self.broker_links.link(uri).ensure()
