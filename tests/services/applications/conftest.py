"""Domains with applications, without any libvirt."""

from pathlib import Path
from typing import Any

import pytest

from qubes_manager.core.applications import Application
from qubes_manager.core.domain import Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.labels import LABELS
from qubes_manager.services.applications.app_lists import list_path
from qubes_manager.services.files.user_folders import UserFolders

UUID, TEMPLATE = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
RED_PIXELS = bytes((255, 0, 0, 255)) * 48 * 48
APPS = (Application("firefox", "Firefox", "browses", icon=RED_PIXELS), Application("org.x.Files", "Files & more; \\n"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where own_folders has put $XDG_DATA_HOME."""
    return tmp_path / "data"


def domain(name: str = "work", **config: Any) -> Domain:
    fields = {"label": LABELS["blue"], "klass": DomainClass.APP, "template_uuid": TEMPLATE, **config}
    return Domain(DomainKey("qemu:///session", UUID), name, DomainState.HALTED, config=DomainConfig(**fields))


def files(tmp_path: Path) -> list[str]:
    return sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file() and UUID in str(p))


def keep(uuid: str, text: str) -> None:
    path = list_path(UserFolders.of_environment().applications, uuid)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
