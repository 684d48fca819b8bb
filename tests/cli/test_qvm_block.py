"""What qvm-block understands, and what it does not try."""

from pathlib import Path

import pytest

from qubes_manager.cli import qvm_block


def refused(uri: str, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a command ends with."""
    assert qvm_block.main(["-c", uri, *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line.partition(": ")[2]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["attach", "work", "dom0:sdz"], "the host has no block device /dev/sdz"),
        (["attach", "work", "sdz"], "the host has no block device /dev/sdz"),
        (["a", "work", "dom0:/dev/disk/by-id/x"], "the host has no block device /dev/disk/by-id/x"),
        (["attach", "work", "dom0:/no/image"], "there is no file “/no/image”"),
        (["attach", "work", "sys-usb:sda"], "backend: 'sys-usb' cannot be used; only dom0 has devices to give"),
        (["attach", "nobody", "dom0:sdz"], "no such domain: nobody"),
        (["attach", "dom0", "sdz"], "dom0 is this machine; its devices are its own"),
        (["detach", "work", "dom0:sdz"], "“work” does not have dom0:sdz"),
        (["detach", "work", "sys-usb:sda"], "backend: 'sys-usb' cannot be used; only dom0 has devices to give"),
        # By the disk's target or by its file: both are what the domain is made of.
        (["detach", "work", "dom0:vdb"], "vdb is a volume that “work” is made of; it cannot be detached"),
        (["d", "work", "dom0:/pool/work.private.qcow2"], "vdb is a volume that “work” is made of"),
        (["insert", "work", "dom0:/no/disc"], "“work” has no CD-ROM drive"),
        (["insert", "--drive", "sdb", "Vault", "dom0:/no/disc"], "“Vault” has no CD-ROM drive sdb; it has sda (empty)"),
        (["insert", "Vault", "dom0:/no/disc"], "there is no file “/no/disc”"),
        (["eject", "work"], "“work” has no CD-ROM drive"),
        (["list", "nobody"], "no such domain: nobody"),
        (["list", "--exclude", "nobody"], "no such domain: nobody"),
    ],
)
def test_what_is_named_is_found_or_refused(
    host: str, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    assert refused(host, capsys, *words).startswith(line)


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("bus=ide", "bus: 'ide' cannot be used; use one of virtio, usb, scsi"),
        ("frontend-dev=vda", "frontend device: 'vda' cannot be used; on usb it is sda, sdb, …"),
        ("bus", "option: 'bus' cannot be used; use NAME=VALUE"),
        ("format=vmdk", "format: 'vmdk' cannot be used; use one of raw, qcow2"),
        ("read-only=perhaps", "read-only: 'perhaps' cannot be used; use True or False"),
        ("speed=9", "option: 'speed=9' cannot be used"),
        ("read-only=yes", "the host has no block device"),
        ("serial=x", "the host has no block device"),
    ],
)
def test_options_are_checked_before_anything_is_attached(
    host: str, capsys: pytest.CaptureFixture[str], option: str, line: str
) -> None:
    assert refused(host, capsys, "attach", "-o", option, "work", "dom0:sdz").startswith(line)


def test_an_image_that_another_domain_has_is_not_attached_twice(
    host: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "stick.img").write_bytes(bytes(1 << 20))
    path = Path(host.removeprefix("test://"))
    path.write_text(path.read_text().replace("/media/stick.img", str(tmp_path / "stick.img")))
    line = refused(host, capsys, "attach", "work", f"dom0:{tmp_path}/stick.img")
    assert line == f"{tmp_path}/stick.img: “Vault” uses it as vda: detach it there first"


def test_a_list_may_be_that_of_some_domains_only(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(host.removeprefix("test://"))
    # On a bus that disks come and go on.
    text = path.read_text().replace('<target dev="vda" bus="virtio"/><', '<target dev="sdb" bus="usb"/><', 3)
    path.write_text(text.replace('file="/pool/debian.root@2.qcow2"', 'file="/pool/shared.img"'))
    for words, is_listed in (([], True), (["Vault"], True), (["--exclude", "Vault"], False), (["debian"], False)):
        assert qvm_block.main(["-c", host, "list", *words]) == 0
        assert ("/media/stick.img" in capsys.readouterr().out) is is_listed, words


def test_the_drives_are_listed_with_their_discs(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words, is_listed in (([], True), (["Vault"], True), (["work"], False), (["--exclude", "Vault"], False)):
        assert qvm_block.main(["-c", host, "list", *words]) == 0
        assert ("Vault:sda" in capsys.readouterr().out) is is_listed, words
    assert qvm_block.main(["-c", host, "list"]) == 0
    assert "Vault:sda      CD-ROM drive: empty  Vault" in capsys.readouterr().out
