"""What headers say that images stand on, as qemu-img writes them, and what is made of garbage."""

import os
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.storage.image_header import read_references


def make(path: Path, *words: str, image_format: str = "qcow2") -> Path:
    run_tool_now(["qemu-img", "create", "-f", image_format, *words, path, "1M"])
    return path


@pytest.mark.parametrize("image_format", ["qcow2", "qcow", "qed"])
def test_the_backing_file_of_an_overlay_is_found(tmp_path: Path, image_format: str) -> None:
    base = make(tmp_path / "base.raw", image_format="raw")
    overlay = make(tmp_path / "overlay", "-b", str(base), "-F", "raw", image_format=image_format)
    assert read_references(str(overlay)) == [str(base)]
    assert read_references(str(base)) == []
    assert read_references(str(make(tmp_path / "alone", image_format=image_format))) == []


@pytest.mark.parametrize("version", ["0.10", "1.1"])
def test_every_version_of_qcow2_is_read(tmp_path: Path, version: str) -> None:
    base = make(tmp_path / "base", image_format="raw")
    overlay = make(tmp_path / "overlay", "-o", f"compat={version}", "-b", str(base), "-F", "raw")
    assert read_references(str(overlay)) == [str(base)]


def test_a_data_file_is_stood_on_too(tmp_path: Path) -> None:
    image = make(tmp_path / "image", "-o", f"data_file={tmp_path}/data,data_file_raw=on")
    assert read_references(str(image)) == [str(tmp_path / "data")]


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("monolithicSparse", ["disk.vmdk"]),
        ("monolithicFlat", ["disk-flat.vmdk"]),
        ("twoGbMaxExtentFlat", ["disk-f001.vmdk", "disk-f002.vmdk"]),
        ("twoGbMaxExtentSparse", ["disk-s001.vmdk", "disk-s002.vmdk"]),
    ],
)
def test_a_vmdk_is_made_of_the_files_that_it_names(tmp_path: Path, kind: str, files: list[str]) -> None:
    image = tmp_path / "disk.vmdk"
    run_tool_now(["qemu-img", "create", "-f", "vmdk", "-o", f"subformat={kind}", image, "3G"])
    assert read_references(str(image)) == [str(tmp_path / name) for name in files]
    above = tmp_path / "above.vmdk"
    run_tool_now(["qemu-img", "create", "-f", "vmdk", "-b", image, "-F", "vmdk", above])
    assert set(read_references(str(above))) == {str(image), str(above)}


def named(tmp_path: Path, name: str) -> Path:
    """An overlay whose header has that name for what is below it."""
    overlay = make(tmp_path / "overlay")
    text = os.fsencode(name)
    with overlay.open("r+b") as file:
        file.seek(8)
        file.write(struct.pack(">QI", 4096, len(text)))
        file.seek(4096)
        file.write(text)
    return overlay


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("/pool/base", ["/pool/base"]),
        ("base", ["{}/base"]),
        ("sub/base", ["{}/sub/base"]),
        ("./odd:name", ["{}/odd:name"]),
        ("file:/pool/base", ["/pool/base"]),
        ("file:///pool/base", ["/pool/base"]),
        ("nbd://host/export", []),
        ('json:{"driver":"qcow2","file":{"driver":"file","filename":"/pool/base"}}', ["/pool/base"]),
        ('json:{"file.filename":"base"}', ["{}/base"]),
        ('json:{"children":[{"file":{"filename":"/a"}},{"filename":"/b"}]}', ["/b", "/a"]),
        ("json:{", []),
        ("json:" + "[" * 1000, []),
        ("x" * 1024, []),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_every_way_to_name_a_file_is_understood(tmp_path: Path, name: str, found: list[str]) -> None:
    expected = sorted(path.format(tmp_path) for path in found)
    assert sorted(read_references(str(named(tmp_path, name)))) == expected


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read_references(str(tmp_path / "pipe")) == []
    assert read_references(str(tmp_path)) == []
    with pytest.raises(FileNotFoundError):
        read_references(str(tmp_path / "missing"))


@given(tail=st.binary(max_size=300), magic=st.sampled_from([b"QFI\xfb\0\0\0\1", b"QFI\xfb\0\0\0\3", b"QED\0", b""]))
def test_garbage_is_read_to_its_end(tmp_path_factory: pytest.TempPathFactory, magic: bytes, tail: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage"
    path.write_bytes(magic + tail)
    for found in read_references(str(path)):
        assert len(found) < 4096


def test_qemu_s_own_tool_names_the_same(tmp_path: Path) -> None:
    base = make(tmp_path / "base")
    overlay = make(tmp_path / "overlay", "-b", "base", "-F", "qcow2")
    told = subprocess.run(["qemu-img", "info", overlay], capture_output=True, text=True, check=True).stdout
    (found,) = read_references(str(overlay))
    assert f"(actual path: {found})" in told
    assert found == str(base)
