"""Running the host's own tools (qemu-img, lsblk, …) without blocking an event loop."""

import asyncio
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from qubes_manager.core.errors import NotFound, QubesManagerError, TimedOut

# Everything here parses the output, so it must not be translated.
_ENVIRONMENT = {"LC_ALL": "C.UTF-8"}


def run_tool_now(
    argv: Sequence[str | Path], *, timeout: float = 30, cwd: Path | None = None, data: bytes | None = None
) -> bytes:
    """Run a host tool and return its standard output; for worker threads, since it blocks.

    Never goes through a shell. *timeout* is in seconds. Raises NotFound when the tool is not installed,
    TimedOut, or QubesManagerError with the last line of its standard error.
    """
    tool = str(argv[0])
    try:
        done = subprocess.run(
            [str(part) for part in argv],
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            timeout=timeout,
            cwd=cwd,
            env={**_inherited(), **_ENVIRONMENT},
            check=False,
        )
    except FileNotFoundError:
        raise NotFound(f"{tool} is not installed; install the package that has it and try again") from None
    except subprocess.TimeoutExpired:
        raise TimedOut(f"{tool} did not finish within {timeout:.0f} s") from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise QubesManagerError(f"{tool} failed: {lines[-1]}", "\n".join(lines))
    return done.stdout


def _inherited() -> Mapping[str, str]:
    import os

    return os.environ


async def run_tool(argv: Sequence[str | Path], *, timeout: float = 30, cwd: Path | None = None) -> bytes:
    """As run_tool_now, from a coroutine: the wait happens in a thread."""
    return await asyncio.to_thread(run_tool_now, argv, timeout=timeout, cwd=cwd)
