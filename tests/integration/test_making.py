"""Domains by command and from images, on real guests: what a person types and what comes of it."""

import gzip
import lzma
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from qubes_manager.backend.guests.cloud_seed import write_seed
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.devices.block import DiskRequest
from qubes_manager.core.domain import DomainClass, DomainKey, DomainState
from qubes_manager.core.errors import Cancelled, Refused
from qubes_manager.core.labels import LABELS
from qubes_manager.core.template_recipe import TemplateRecipe
from qubes_manager.core.volumes import Role
from tests.heard_progress import HeardProgress
from tests.integration.conftest import COMMANDS, Run, World, remove_all
from tests.integration.templates import make_tiny_template, pool_files
from tests.integration.test_templates import KEPT, app

pytestmark = pytest.mark.guest

# Real-mode code for a boot sector: says K on the first serial line, and stops.
_BOOT = bytes.fromhex("baf803b04beefaf4")
_PARTITION = bytes.fromhex("80000101830101010100000001000000")


@pytest.fixture
async def made(world: World, tiny_guest: TinyGuest, shared_folder: Path) -> AsyncIterator[DomainKey]:
    """A small template; whatever a test makes goes with it, and the pool is as before."""
    before = await pool_files(world)
    yield await make_tiny_template(world, tiny_guest, shared_folder)
    await remove_all(world, KEPT)
    assert await pool_files(world) == before


def bootable(folder: Path) -> Path:
    """A raw disk whose boot sector says K."""
    image = folder / "boots.img"
    sector = _BOOT.ljust(446, b"\0") + _PARTITION + bytes(48) + b"\x55\xaa"
    image.write_bytes(sector + bytes((4 << 20) - 512))
    return image


async def hears(world: World, key: DomainKey, what: str) -> None:
    """Wait for a text on the domain's serial console."""
    log = Path(world.store.domains[key].config.console_log)
    await world.until(lambda: log.exists() and what in log.read_text(errors="replace"), f"{what} on the console")


async def test_an_image_becomes_a_template_and_its_domains_boot_by_themselves(
    world: World, made: DomainKey, shared_folder: Path, run: Run
) -> None:
    image = bootable(shared_folder)
    digest = run_tool_now(["sha256sum", image]).decode().split()[0]
    sums = shared_folder / "SHA256SUMS"
    sums.write_text(f"{digest}  {image.name}\n")
    done = run("qvm-template", "import", "--checksum-file", sums, "own", image)
    assert done.returncode == 0, done.stderr
    own = await world.appears("own")
    await world.until(lambda: not world.existing("own").config.job, "it is whole")
    root = world.existing("own").config.volume(Role.ROOT)
    assert root and (root.revision, root.verified) == (1, f"sha256:{digest}")
    assert run("qvm-volume", "info", "own:root", "verified").stdout == f"sha256:{digest}\n"
    assert "is unchanged" in run("qvm-volume", "verify", "own:root").stdout
    assert own.klass is DomainClass.TEMPLATE
    key = await world.creation.create(world.uri, app("booted", "own"))
    await world.lifecycle.start(key)
    await hears(world, key, "K")
    await world.lifecycle.kill(key)
    # Somebody writes to the template's file behind everybody's back.
    path = (await world.hosts.connection(world.uri).call("find", _path_of(root.name)))()
    with Path(path).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    changed = run("qvm-volume", "verify", "own:root")
    assert changed.returncode == 1
    assert "has changed since it was made" in changed.stderr


def _path_of(name: str) -> Callable[..., Callable[[], str]]:
    def find(raw: Any) -> Callable[[], str]:
        path: str = raw.storagePoolLookupByName("qubes-manager").storageVolLookupByName(name).path()
        return lambda: path

    return find


@pytest.mark.parametrize("packed", ["gz", "xz", "zst"])
async def test_a_packed_image_is_unpacked(world: World, made: DomainKey, shared_folder: Path, packed: str) -> None:
    image = bootable(shared_folder)
    data = image.read_bytes()
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gz": gzip.compress,
        "xz": lzma.compress,
        "zst": lambda data: run_tool_now(["zstd", "-c", "-q"], data=data),
    }
    pack = packers[packed]
    source = shared_folder / f"boots.img.{packed}"
    source.write_bytes(pack(data))
    key = await world.creation.create(
        world.uri, CreationRequest("packed", "red", image=source, memory=64, netvm="", graphics=False)
    )
    disk = Path(world.store.domains[key].config.disks[0].source)
    run_tool_now(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", image, disk])
    source.write_bytes(pack(data)[:-20])
    with pytest.raises(Refused, match="is damaged"):
        await world.creation.create(world.uri, CreationRequest("broken", "red", image=source))
    assert not world.named("broken")


@pytest.mark.parametrize("image_format", ["vmdk", "vdi", "vhdx"])
async def test_foreign_formats_are_converted(
    world: World, made: DomainKey, shared_folder: Path, image_format: str
) -> None:
    source = shared_folder / f"boots.{image_format}"
    run_tool_now(["qemu-img", "convert", "-f", "raw", "-O", image_format, bootable(shared_folder), source])
    key = await world.creation.create(
        world.uri, CreationRequest("foreign", "red", image=source, memory=64, vcpus=1, netvm="", graphics=False)
    )
    assert world.store.domains[key].config.disks[0].source.endswith(".qcow2")
    await world.lifecycle.start(key)
    await hears(world, key, "K")


async def test_an_installed_system_becomes_a_template(world: World, made: DomainKey, shared_folder: Path) -> None:
    request = CreationRequest("old", "red", image=bootable(shared_folder), memory=64, netvm="", graphics=False)
    key = await world.creation.create(world.uri, request)
    await world.promotion.to_template(key)
    domain = world.store.domains[key]
    assert (domain.klass, domain.config.revision) == (DomainClass.TEMPLATE, 1)
    booted = await world.creation.create(world.uri, app("booted", "old"))
    await world.lifecycle.start(booted)
    await hears(world, booted, "K")
    await world.lifecycle.start(key)
    assert world.store.domains[key].config.trial == 2
    await world.lifecycle.kill(key)


async def test_the_three_domains_come_from_a_template_unattended(
    world: World, made: DomainKey, daemon: PrivateDaemon, tmp_path: Path
) -> None:
    done = subprocess.run(
        [COMMANDS / "qubes-manager", "setup", "--yes", "--template", "tiny", "--memory", "256", "--start"],
        env={**os.environ, "QUBES_MANAGER_URI": daemon.uri},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "template tiny; made work, personal, untrusted\n"
    for name, label in (("work", "blue"), ("personal", "yellow"), ("untrusted", "red")):
        domain = await world.appears(name)
        await world.until(partial(runs, world, domain.key), f"{name} runs")
        assert (domain.label, domain.config.template) == (LABELS[label], "tiny")


def runs(world: World, key: DomainKey) -> bool:
    return world.store.domains[key].state is DomainState.RUNNING


async def test_the_command_line_makes_clones_lists_and_changes(world: World, made: DomainKey, run: Run) -> None:
    create = ["qvm-create", "--label", "green", "-t", "tiny", "--private-size", "100M"]
    done = run(
        *create, "--prop", "memory=256", "--prop", "maxmem=512", "--prop", "netvm=none", "--prop", "vcpus=1", "bank"
    )
    assert done.returncode == 0, done.stderr
    assert run("qvm-clone", "bank", "bank2").returncode == 0
    listed = run("qvm-ls", "--raw-data", "-O", "name,class,label,template,netvm,memory", "bank", "bank2").stdout
    assert listed == "bank|AppVM|green|tiny|-|256\nbank2|AppVM|green|tiny|-|256\n"
    assert run("qvm-ls", "--raw-data", "-O", "priv-max,root-max", "bank").stdout == "100|16\n"
    volumes = run("qvm-volume", "list", "bank").stdout.splitlines()
    assert [line.split()[1:3] for line in volumes[1:]] == [
        ["bank", "root"],
        ["bank", "private"],
    ]
    for words, expected in (
        (("bank", "maxmem"), "512"),
        (("bank", "memory", "300"), ""),
        (("bank", "memory"), "300"),
        (("bank", "netvm", "user"), ""),
        (("bank", "netvm"), "isolated"),
        (("bank", "virt_mode"), "qemu"),
        (("bank", "template_for_dispvms", "True"), ""),
        (("bank2", "default_dispvm", "None"), ""),
        (("bank2", "default_dispvm"), "none"),
        (("bank2", "default_dispvm", "bank"), ""),
        (("bank2", "default_dispvm"), "bank"),
        (("bank", "kernelopts"), world.store.domains[made].config.kernelopts and None),
    ):
        done = run("qvm-prefs", *words)
        assert done.returncode == 0, done.stderr
        assert expected is None or done.stdout.strip() == expected, words
    assert "is the default dispvm of bank2" in run("qvm-remove", "-f", "bank").stderr
    line = next(line for line in run("qvm-template", "list").stdout.splitlines() if line.startswith("tiny "))
    assert line.split()[1:3] == ["1", "Halted"]
    assert "bank, bank2" in line
    assert run("qvm-volume", "config", "tiny:root", "revisions_to_keep", "5").returncode == 0
    assert run("qvm-volume", "info", "tiny:root", "revisions_to_keep").stdout == "5\n"
    refused = run("qvm-volume", "resize", "bank:root", "1G")
    assert "is that of its template “tiny”: change it there" in refused.stderr
    assert run("qvm-remove", "-f", "bank2", "bank").returncode == 0
    assert run("qvm-template", "remove", "--force", "tiny").returncode == 0


async def test_volumes_go_out_and_come_in(world: World, made: DomainKey, run: Run, shared_folder: Path) -> None:
    work = await world.creation.create(world.uri, app("work"))
    target = shared_folder / "private.qcow2"
    done = run("qvm-volume", "export", "work:private", target)
    assert done.returncode == 0, done.stderr
    assert run_tool_now(["sha256sum", "--check", f"{target}.sha256"], cwd=shared_folder) == b"private.qcow2: OK\n"
    assert "exists already" in run("qvm-volume", "export", "work:private", target).stderr
    # A root that stands on others is whole in its image.
    whole = shared_folder / "root.qcow2"
    await world.lifecycle.start(made)
    await world.lifecycle.kill(made)
    clone = await world.cloning.clone(made, "copy")
    await world.volumes.export(clone, "root", whole)
    assert b"backing file" not in run_tool_now(["qemu-img", "info", whole])
    filled = bootable(shared_folder)
    done = run("qvm-volume", "import", "work:private", filled)
    assert done.returncode == 0, done.stderr
    await world.hosts.refresh(work)
    private = private_file(world, work)
    raw = shared_folder / "back.img"
    run_tool_now(["qemu-img", "convert", "-O", "raw", private, raw])
    assert raw.read_bytes() == filled.read_bytes()
    assert run("qvm-volume", "clear", "-f", "work:private").returncode == 0
    await world.hosts.refresh(work)
    assert private_file(world, work) != private
    assert not private.exists()


def private_file(world: World, key: DomainKey) -> Path:
    disk = world.store.domains[key].config.disk(Role.PRIVATE)
    assert disk
    return Path(disk.source)


async def test_a_pool_of_ones_own_takes_volumes(world: World, made: DomainKey, run: Run, daemon: PrivateDaemon) -> None:
    folder = daemon.folder / "data/other"
    assert run("qvm-pool", "add", "other", "dir", "-o", f"dir_path={folder}").returncode == 0
    try:
        assert "other" in run("qvm-pool").stdout
        done = run("qvm-create", "-l", "red", "-t", "tiny", "-p", "private=other", "--private-size", "64M", "away")
        assert done.returncode == 0, done.stderr
        assert [p.name.split(".")[2] for p in folder.iterdir()] == ["private"]
        assert "has 1 volumes" in run("qvm-pool", "remove", "other").stderr
        assert run("qvm-remove", "-f", "away").returncode == 0
        assert list(folder.iterdir()) == []
    finally:
        assert run("qvm-pool", "remove", "other").returncode == 0


async def test_a_cloud_image_is_told_of_its_user(world: World, fresh: DomainKey, shared_folder: Path) -> None:
    seed = shared_folder / "seed.iso"
    write_seed(seed, fresh.uuid)
    assert b"CIDATA" in run_tool_now(["/usr/sbin/blkid", "--probe", "--output", "export", seed])
    seed.chmod(0o644)
    await world.block_devices.attach(fresh, DiskRequest(str(seed), False, bus="virtio", read_only=True))
    out: list[bytes] = []
    look = "modprobe virtio_blk; modprobe isofs; mount -t iso9660 -o ro /dev/vda /mnt && cat /mnt/user-data"
    assert await world.commands.run(fresh, look, user="root", out=out.append) == 0
    told = yaml.safe_load(b"".join(out))
    assert told["users"][0]["name"] == "user"
    scripts = {entry["path"]: entry["content"] for entry in told["write_files"]}
    assert scripts["/usr/lib/qubes-manager/private-volume"].startswith("#!/bin/sh")


async def test_a_build_that_is_cancelled_leaves_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("QUBES_MANAGER_SCRATCH", str(scratch))
    before = await pool_files(world)
    progress = HeardProgress(stop_at="Downloading the base system")
    build = world.templates
    with pytest.raises(Cancelled):
        await build.build(world.uri, "never", TemplateRecipe("bookworm"), progress=progress)
    assert progress.steps[0] == "Reading the lists of packages"
    assert list(scratch.iterdir()) == []
    assert await pool_files(world) == before
    assert not world.named("never")


def test_the_host_is_looked_at(run: Run, daemon: PrivateDaemon) -> None:
    done = run("qubes-manager", "--check-host")
    assert done.returncode == 0, done.stdout + done.stderr
    for title in ("libvirt", "KVM", "IOMMU", "memory", "disk", "virtlogd", "building templates"):
        assert f" {title}: " in done.stdout, title
    assert "version" in done.stdout.splitlines()[0]
