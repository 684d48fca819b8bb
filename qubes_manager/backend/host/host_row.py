"""The host's own row."""

import libvirt

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.core.domain import HOST_UUID, Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.names import HOST_NAME


async def read_host_row(connection: LibvirtConnection) -> Domain:
    """Return the row of the machine behind *connection*: its memory and CPUs."""

    def read(raw: libvirt.virConnect) -> Domain:
        try:
            _model, memory_mib, cpus, *_rest = raw.getInfo()
        except libvirt.libvirtError:
            memory_mib = cpus = 0
        kib = memory_mib * 1024
        config = DomainConfig(klass=DomainClass.ADMIN, maximum_memory_kib=kib, initial_memory_kib=kib, vcpus=cpus)
        key = DomainKey(connection.uri, HOST_UUID)
        return Domain(key=key, name=HOST_NAME, state=DomainState.RUNNING, id=0, config=config)

    return await connection.call("read the host’s figures", read)
