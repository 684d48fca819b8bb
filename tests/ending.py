"""Ends programs that tests have started."""

import subprocess

from tests.waiting import PATIENCE


def end_program(program: "subprocess.Popen[bytes]") -> None:
    """Tell a program to end; one that does not is killed."""
    program.terminate()
    try:
        program.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait(PATIENCE)
