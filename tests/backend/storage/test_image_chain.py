"""Chains of files on this machine. What libvirt's pools say of them is in tests/services/hosts/test_image_uses.py."""

import os
from pathlib import Path

import libvirt
import pytest

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.storage.image_chain import MAX_DEPTH, ImageChains, made_of
from qubes_manager.core.hardware import Layer


@pytest.fixture
def chains() -> ImageChains:
    return ImageChains(libvirt.open("test:///default"), "test:///default")


def overlay(path: Path, base: Path) -> Path:
    run_tool_now(["qemu-img", "create", "-u", "-f", "qcow2", "-b", base, "-F", "qcow2", path, "1M"])
    return path


def test_a_file_has_the_same_names_by_each_of_its_paths(chains: ImageChains, tmp_path: Path) -> None:
    image, link, hard = tmp_path / "image", tmp_path / "link", tmp_path / "hard"
    image.touch()
    link.symlink_to(image)
    os.link(image, hard)
    (other := tmp_path / "other").touch()
    found = [chains.file(Layer(str(path))) for path in (image, link, hard, tmp_path / "../" / tmp_path.name / "image")]
    assert all(one.is_in([two]) for one in found for two in found)
    assert not chains.file(Layer(str(other))).is_in(found)
    # What is not there has its path all the same.
    missing = chains.file(Layer(str(tmp_path / "missing")))
    assert missing.is_in([chains.file(Layer(str(tmp_path / "missing")))])
    assert not missing.is_in(found)


def test_a_chain_is_followed_to_its_end_whatever_the_xml_says(chains: ImageChains, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.write_bytes(bytes(512))
    one, two = overlay(tmp_path / "one", base), overlay(tmp_path / "two", tmp_path / "one")
    for ends in (False, True):
        found = chains.of_disk([Layer(str(two), format="qcow2")], ends=ends)
        assert [file.path for file in found] == [str(two), str(one), str(base)]
    # A guest can write into a raw image what it likes: it stands on nothing.
    assert [file.path for file in chains.of_disk([Layer(str(two), format="raw")])] == [str(two)]
    # What the XML names is counted even if the header names something else.
    named = chains.of_disk([Layer(str(one), format="qcow2"), Layer("/elsewhere")])
    assert {file.path for file in named} == {str(one), str(base), "/elsewhere"}


def test_a_ring_and_a_chain_without_end_come_to_one(chains: ImageChains, tmp_path: Path) -> None:
    overlay(tmp_path / "a", overlay(tmp_path / "b", tmp_path / "a"))
    assert len(chains.of_disk([Layer(str(tmp_path / "a"))])) == 2
    for number in range(MAX_DEPTH + 10):
        path = tmp_path / str(number)
        path.write_bytes((tmp_path / "a").read_bytes().replace(b"/b", b"/" + str(number + 1).encode(), 1))
    assert len(chains.of_disk([Layer(str(tmp_path / "0"))])) <= MAX_DEPTH


def test_a_block_device_is_made_of_what_sysfs_says(tmp_path: Path) -> None:
    # This machine's devices are what they are; these are the files that the kernel has for each kind.
    for folder in ("loop0/loop", "sda/sda1", "dm-0/slaves/sda2", "dm-0/slaves/sdb"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "loop0/loop/backing_file").write_text("/images/a b.img\n")
    (tmp_path / "sda/sda1/partition").write_text("1\n")
    assert made_of(tmp_path / "loop0") == ["/images/a b.img"]
    assert made_of(tmp_path / "sda/sda1") == ["/dev/sda"]
    assert sorted(made_of(tmp_path / "dm-0")) == ["/dev/sda2", "/dev/sdb"]
    assert made_of(tmp_path / "sda") == []
