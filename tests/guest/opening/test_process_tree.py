"""Processes that came of one, also those whose parents have ended."""

import subprocess
import sys

from tests.waiting import PATIENCE


def test_orphans_stay_below_the_process_that_adopts_them() -> None:
    code = """
import os, subprocess, time
from qubes_manager.guest.opening.process_tree import adopt_orphans, descendants, reap
adopt_orphans()
# A launcher that ends at once, and what it has started.
subprocess.run(["sh", "-c", "sleep 50 & exec true"])
found = descendants(os.getpid())
assert len(found) == 1, found
os.kill(*found, 15)
while descendants(os.getpid()):
    time.sleep(0.05)
    reap()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)
