"""A libvirtd of the benchmarks' own, with a user's folders or desk; all of it is gone with the block."""

import contextlib
import os
from collections.abc import Iterator

from qubes_manager.backend.host.private_daemon import PrivateDaemon
from tests.conftest import own_daemon
from tests.desk import Desk


@contextlib.contextmanager
def own_host() -> Iterator[PrivateDaemon]:
    """One whose user's settings, data and state are in folders of their own."""
    with own_daemon() as daemon:
        for name in ("CONFIG", "DATA", "STATE"):
            place = daemon.folder / f"xdg-{name.lower()}"
            place.mkdir(mode=0o700)
            os.environ[f"XDG_{name}_HOME"] = str(place)
        yield daemon


@contextlib.contextmanager
def own_desk() -> Iterator[tuple[PrivateDaemon, Desk]]:
    """One with a screen, whose environment this program has too."""
    with own_daemon() as daemon:
        home = daemon.folder / "home"
        home.mkdir(mode=0o755)
        desk = Desk(home, daemon.uri)
        taken = {key: value for key, value in desk.environment.items() if key.startswith(("XDG_", "DISPLAY"))}
        os.environ.update(taken)
        try:
            yield daemon, desk
        finally:
            desk.close()
