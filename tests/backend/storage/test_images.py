"""What image files are, and which of them are let in."""

import os
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.storage.images import check_attachable, image_format, inspect_image, open_regular
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused

FORMATS = ["raw", "qcow2", "vmdk", "vdi", "vhdx", "qed"]


@pytest.mark.parametrize("which", FORMATS)
def test_an_image_is_known_by_its_first_bytes(tmp_path: Path, which: str) -> None:
    path = tmp_path / "image"
    run_tool_now(["qemu-img", "create", "-f", which, path, "3M"])
    with open_regular(path) as file:
        assert image_format(file) == which
        image = inspect_image(file, "image")
    assert (image.format, image.capacity, image.plain) == (which, 3 << 20, which == "qcow2")


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, error, reason in (
        ("fifo", Refused, "fifo” is not a file"),
        (".", Refused, "” is not a file"),
        ("missing\x1b[2J", NotFound, "there is no file “[^\x1b]*missing”"),
    ):
        with pytest.raises(error, match=reason):
            open_regular(tmp_path / name)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "file").write_bytes(b"bytes")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"bytes"


def test_only_qcow2_that_is_whole_by_itself_is_attached_as_such(tmp_path: Path) -> None:
    alone, above, data, secret = (tmp_path / name for name in ("alone", "above", "data", "secret"))
    run_tool_now(["qemu-img", "create", "-f", "qcow2", alone, "1M"])
    run_tool_now(["qemu-img", "create", "-f", "qcow2", "-b", alone, "-F", "qcow2", above])
    run_tool_now(["qemu-img", "create", "-f", "qcow2", "-o", f"data_file={tmp_path}/bytes", data, "1M"])
    secret.write_bytes(b"of the user")
    check_attachable(alone, "qcow2")
    # As raw it is bytes, whatever they say.
    check_attachable(above, "raw")
    for path, reason in (
        (above, f"“above” refers to another file, “{alone}”"),
        (data, f"“data” refers to another file, “{tmp_path}/bytes”"),
        (secret, "“secret” cannot be used as qcow2: it has no qcow2 header"),
        (Path("/proc/self/mem"), "“mem” cannot be read: Input/output error"),
    ):
        with pytest.raises(QubesManagerError, match=reason):
            check_attachable(path, "qcow2")
