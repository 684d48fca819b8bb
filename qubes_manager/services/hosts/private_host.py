"""A libvirt of our own, for as long as a block runs."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from qubes_manager.backend.host.private_daemon import PrivateDaemon


@contextlib.contextmanager
def private_host(folder: Path) -> Iterator[str]:
    """Run a private libvirtd below *folder* and give its URI; ends it, and all its domains, at the end."""
    daemon = PrivateDaemon(folder.absolute())
    daemon.start()
    os.environ["QUBES_MANAGER_URI"] = daemon.uri
    try:
        yield daemon.uri
    finally:
        daemon.stop()
