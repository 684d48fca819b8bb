"""The names of a host's domains, where the list of them does not come."""

import contextlib

import libvirt

from qubes_manager.backend.connection.call_threads import CallThreads
from qubes_manager.backend.connection.local import is_local
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import QubesManagerError

_TIMEOUT = 5.0


async def read_names(uri: str) -> list[Domain]:
    """Return what a read-only connection of its own tells without asking any domain: names, and no more.

    Others wait for what the first one hangs in, or may not use it; this one has a socket and a turn of its own. Empty
    when it gets no answer within five seconds, and for another machine, whose line is what does not answer.
    """
    if not is_local(uri):
        return []
    threads = CallThreads("names")
    try:
        return await threads.run("read the domains’ names", _read_now, uri, timeout=_TIMEOUT)
    except QubesManagerError:
        return []
    finally:
        threads.close()


def _read_now(uri: str) -> list[Domain]:
    raw = libvirt.openReadOnly(uri)
    try:
        return [
            Domain(DomainKey(uri, handle.UUIDString()), handle.name(), DomainState.UNKNOWN, stale=True)
            for handle in raw.listAllDomains()
        ]
    finally:
        with contextlib.suppress(libvirt.libvirtError):
            raw.close()
