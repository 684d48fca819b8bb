"""What a domain's row says about other domains: their names now, and whether its template has moved on.

References are kept by UUID, so that a rename needs no change anywhere else.
"""

from collections.abc import Callable
from dataclasses import replace

from qubes_manager.core.domain import Domain, DomainConfig
from qubes_manager.core.volume_use import system_source
from qubes_manager.core.volumes import Role

Find = Callable[[str], Domain | None]


def with_names(config: DomainConfig, find: Find) -> DomainConfig:
    """Return *config* with the names that the domains it refers to have now; *find* gets a domain by UUID."""
    template, dispvm = find(config.template_uuid), find(config.default_dispvm_uuid)
    network = find(config.network_uuid)
    if template and template.name != config.template:
        config = replace(config, template=template.name)
    if dispvm and dispvm.name != config.default_dispvm:
        config = replace(config, default_dispvm=dispvm.name)
    if network and network.name != config.network:
        config = replace(config, network=network.name)
    return config


def is_outdated(config: DomainConfig, template: Domain | None) -> bool:
    """Whether a running domain of that *config* started from another root than its *template*'s current one."""
    current = template.config.volume(Role.ROOT) if template else None
    if template is None or current is None:
        return False
    # A merge gives the same revision another file, which changes nothing for those who run from the old one.
    started = next((v for v in template.config.volumes if v.name == system_source(config)), None)
    return started is None or started.revision != current.revision
