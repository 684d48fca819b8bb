"""The services that the window uses, made in one place."""

from dataclasses import dataclass

from qubes_manager.services.app_lists import AppLists
from qubes_manager.services.clipboard import InterDomainClipboard
from qubes_manager.services.cloning import Cloning
from qubes_manager.services.creation import Creation
from qubes_manager.services.demo import Demo
from qubes_manager.services.domain_volumes import DomainVolumes
from qubes_manager.services.first_setup import FirstSetup
from qubes_manager.services.guest_commands import GuestCommands
from qubes_manager.services.host_check import HostCheck
from qubes_manager.services.hosts import Hosts
from qubes_manager.services.launching import Launching
from qubes_manager.services.lifecycle import Lifecycle
from qubes_manager.services.logs import Logs
from qubes_manager.services.promotion import Promotion
from qubes_manager.services.properties import Properties
from qubes_manager.services.recovery import Recovery
from qubes_manager.services.removal import Removal
from qubes_manager.services.storage_pools import StoragePools
from qubes_manager.services.store import DomainStore
from qubes_manager.services.template_build import TemplateBuild
from qubes_manager.services.usage_poller import UsagePoller
from qubes_manager.services.window_links import WindowLinks
from qubes_manager.services.window_settings import WindowSettings


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
    links: WindowLinks
    launching: Launching
    window_settings: WindowSettings
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
    links = WindowLinks(store)
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
        window_settings=WindowSettings(links),
        logs=Logs(),
        clipboard=InterDomainClipboard(),
        poller=UsagePoller(hosts, store),
    )
