"""Commands, run as a user would type them, on the test driver."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.domains import write_domains
from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.core.domain import DomainClass, DomainConfig
from qubes_manager.core.labels import LABELS
from qubes_manager.core.volumes import OwnVolume, Role
from tests.driver import FOLDER, PAUSED, RUNNING, write_host
from tests.waiting import PATIENCE

COMMANDS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"test://{write_domains(tmp_path_factory.mktemp('cli') / 'ten.xml', 10)}"


DEBIAN, WORK = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
ROOTS = tuple(OwnVolume(Role.ROOT, "qubes-manager", f"debian.root@{n}.qcow2", n) for n in (1, 2))
PRIVATE = OwnVolume(Role.PRIVATE, "qubes-manager", "work.private.qcow2")


def _domains() -> list[NewDomain]:
    template = DomainConfig(label=LABELS["black"], klass=DomainClass.TEMPLATE, revision=2, volumes=ROOTS)
    work = DomainConfig(
        label=LABELS["blue"],
        klass=DomainClass.APP,
        template="debian",
        template_uuid=DEBIAN,
        tags=frozenset({"money", "daily"}),
        features=(("menu", "short"), ("internal", "1")),
        volumes=(PRIVATE,),
    )
    root = DiskSpec(f"{FOLDER}/{ROOTS[1].name}")
    private = DiskSpec(f"{FOLDER}/{PRIVATE.name}", serial="private")
    stick = DiskSpec("/media/stick.img", "raw")
    return [
        NewDomain("debian", template, DEBIAN, disks=(root,), graphics=False),
        NewDomain("work", work, WORK, disks=(root, private), netvm="user"),
        NewDomain("Vault", DomainConfig(tags=frozenset({"money"})), disks=(stick, DiskSpec("", "raw", cdrom=True))),
    ]


@pytest.fixture
def host(tmp_path: Path) -> str:
    """The template debian, halted; work, an AppVM of it, running; Vault, a StandaloneVM of nobody's, paused."""
    volumes = [volume.name for volume in (*ROOTS, PRIVATE)]
    return write_host(tmp_path, _domains(), volumes, {"work": RUNNING, "Vault": PAUSED})


def run(*words: object, data: str | None = None) -> subprocess.CompletedProcess[str]:
    name, *rest = map(str, words)
    return subprocess.run(
        [COMMANDS / name, *rest], input=data or "", capture_output=True, text=True, timeout=PATIENCE, check=False
    )
