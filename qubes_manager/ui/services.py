"""The services that the window uses, made in one place."""

from dataclasses import dataclass

from qubes_manager.services.applications.app_lists import AppLists
from qubes_manager.services.crossing.clipboard import InterDomainClipboard
from qubes_manager.services.domains.guest_commands import GuestCommands
from qubes_manager.services.domains.lifecycle import Lifecycle
from qubes_manager.services.domains.properties import Properties
from qubes_manager.services.domains.recovery import Recovery
from qubes_manager.services.domains.removal import Removal
from qubes_manager.services.files.logs import Logs
from qubes_manager.services.gui.launching import Launching
from qubes_manager.services.gui.links import GuiLinks
from qubes_manager.services.gui.settings import GuiSettings
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.hosts.usage_poller import UsagePoller
from qubes_manager.services.making.cloning import Cloning
from qubes_manager.services.making.creation import Creation
from qubes_manager.services.making.promotion import Promotion
from qubes_manager.services.making.template_build import TemplateBuild
from qubes_manager.services.setup.demo import Demo
from qubes_manager.services.setup.first_setup import FirstSetup
from qubes_manager.services.setup.host_check import HostCheck
from qubes_manager.services.volumes.domain_volumes import DomainVolumes
from qubes_manager.services.volumes.storage_pools import StoragePools


@dataclass(frozen=True, slots=True)
class Services:
    """One of each."""

    store: DomainStore
    hosts: Hosts
    lifecycle: Lifecycle
    properties: Properties
    creation: Creation
    removal: Removal
    cloning: Cloning
    promotion: Promotion
    volumes: DomainVolumes
    pools: StoragePools
    templates: TemplateBuild
    setup: FirstSetup
    host_check: HostCheck
    recovery: Recovery
    demo: Demo
    commands: GuestCommands
    lists: AppLists
    links: GuiLinks
    launching: Launching
    gui_settings: GuiSettings
    logs: Logs
    clipboard: InterDomainClipboard
    poller: UsagePoller


def make_services() -> Services:
    """Wire the services to each other."""
    store = DomainStore()
    hosts = Hosts(store, watch=True)
    lifecycle = Lifecycle(hosts, store)
    commands = GuestCommands(hosts, store, lifecycle)
    lists = AppLists(store, commands)
    links = GuiLinks(store)
    lifecycle.before_shutdown = lists.refresh
    return Services(
        store=store,
        hosts=hosts,
        lifecycle=lifecycle,
        properties=Properties(hosts, store),
        creation=Creation(hosts, store),
        removal=Removal(hosts, store),
        cloning=Cloning(hosts, store, lifecycle.roots),
        promotion=Promotion(hosts, store),
        volumes=DomainVolumes(hosts, store, lifecycle.roots, commands),
        pools=StoragePools(hosts),
        templates=TemplateBuild(hosts, store),
        setup=FirstSetup(hosts, store),
        host_check=HostCheck(hosts),
        recovery=Recovery(hosts, store, lifecycle.roots),
        demo=Demo(hosts, store),
        commands=commands,
        lists=lists,
        links=links,
        launching=Launching(store, commands, lifecycle, links),
        gui_settings=GuiSettings(links),
        logs=Logs(),
        clipboard=InterDomainClipboard(),
        poller=UsagePoller(hosts, store),
    )
