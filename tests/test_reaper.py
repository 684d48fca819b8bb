"""Nothing that tests start outlives them."""

import subprocess
import sys
from pathlib import Path

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[1]


def test_what_a_program_left_running_is_ended_with_it_and_its_exit_code_is_passed_on() -> None:
    leave = "(setsid sh -c 'sleep 300 & echo $!; wait') & sleep 0.3; exit 7"
    done = subprocess.run(
        [sys.executable, "-m", "tests.reaper", "/bin/sh", "-c", leave],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 7
    assert not Path(f"/proc/{int(done.stdout)}").exists()
