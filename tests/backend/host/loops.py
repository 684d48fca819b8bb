"""Block devices over files, for root alone; those with udev and udisks around them are in tests/device_world.py."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

needs_loops = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists() or not shutil.which("losetup"),
    reason="loop devices are made by root alone",
)
_ATTEMPTS = 20


@contextlib.contextmanager
def loop_over(image: Path, *options: str) -> Iterator[Path]:
    """A loop device over a file; options are those of losetup."""
    words = ["losetup", "--find", "--show", *options, str(image)]
    for attempt in range(_ATTEMPTS):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        # Others look for a free one at the same time.
        if done.returncode == 0 or attempt == _ATTEMPTS - 1:
            break
        time.sleep(0.05)
    assert done.returncode == 0, done.stderr
    device = Path(done.stdout.strip())
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
