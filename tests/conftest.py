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
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.backend.guests.tiny_guest import TinyGuest, build_tiny_guest

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
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the user's settings and logs."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("QUBES_MANAGER_URI", raising=False)


@pytest.fixture(scope="session")
def tiny_guest() -> TinyGuest:
    """The tiny guest's kernel and initramfs."""
    with first_builds("tiny-guest"):
        return build_tiny_guest(CACHE)


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
