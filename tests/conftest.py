"""What all tests share."""

import os

# Qt must not share GLib's default context with libvirt's event thread; widgets in the tests need no screen.
os.environ["QT_NO_GLIB"] = "1"
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from pytestqt.qtbot import QtBot

from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.backend.guests.tiny_guest import TinyGuest, build_tiny_guest
from tests.python_guest import build_python_guest
from tests.strays import ALIVE, end_brokers
from tests.waiting import PATIENCE

# Guests are built once and kept outside of the tree.
CACHE = Path(os.environ.get("QUBES_MANAGER_TEST_CACHE") or Path.home() / ".cache/qubes-manager")

# How long an example takes says nothing of our code where several workers and their guests share the cores.
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tests")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.side_by_side import Shares

    return Shares(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several workers share the tests, those that take longest begin."""
    if hasattr(config, "workerinput"):
        from tests.side_by_side import rank

        items.sort(key=lambda item: rank(item.nodeid))


@contextlib.contextmanager
def first_builds(name: str) -> Iterator[None]:
    """Let one process at a time build what is to be in the cache; the others wait, and find it there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep tests away from the user's settings, logs and locks."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("QUBES_MANAGER_URI", raising=False)
    # Sockets lie there too, and their paths have 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="qm-") as state, tempfile.NamedTemporaryFile(prefix="qm-alive-") as alive:
        monkeypatch.setenv("XDG_STATE_HOME", state)
        monkeypatch.setenv(ALIVE, alive.name)
        yield
        if (Path(state) / "qubes-manager/run").exists():
            end_brokers(Path(alive.name))


@pytest.fixture
def qtbot(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> QtBot:
    """What drives Qt, as patient as all tests are."""
    for wait in ("waitUntil", "waitSignal"):
        monkeypatch.setattr(qtbot, wait, partial(getattr(qtbot, wait), timeout=round(1000 * PATIENCE)))
    return qtbot


@pytest.fixture(scope="session")
def tiny_guest() -> TinyGuest:
    """The tiny guest's kernel and initramfs."""
    with first_builds("tiny-guest"):
        return build_tiny_guest(CACHE)


@pytest.fixture(scope="session")
def python_guest(tiny_guest: TinyGuest, tmp_path_factory: pytest.TempPathFactory) -> TinyGuest:
    """The tiny guest with Python and the guest tools, whose service program runs."""
    with first_builds("python-guest"):
        return build_python_guest(tiny_guest, CACHE, tmp_path_factory.mktemp("python-guest"))


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that the private libvirtd's user can read, on a short path."""
    folder = Path(tempfile.mkdtemp(prefix="qm-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def own_daemon() -> Iterator[PrivateDaemon]:
    """A libvirtd of our own; it and all its domains are ended with the block."""
    folder = Path(tempfile.mkdtemp(prefix="qm-", dir="/var/tmp"))
    private = PrivateDaemon(folder)
    private.start()
    try:
        yield private
    finally:
        private.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def daemon() -> Iterator[PrivateDaemon]:
    """The libvirtd that tests share, with the guests that they share."""
    with own_daemon() as private:
        yield private
