"""The way out of a domain's namespace: pasta, which makes each connection anew from this machine as the user's own."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from qubes_manager.network.addresses import UPLINK4, UPLINK6, UPLINK_GATEWAY4, UPLINK_GATEWAY6
from qubes_manager.network.host import end_with_parent
from qubes_manager.network.inside import PATH
from qubes_manager.network.ruleset import UPLINK

# Nothing that listens on either side is offered to the other, and no address means this machine.
_CLOSED = ("-t", "none", "-u", "none", "-T", "none", "-U", "none", "--no-map-gw")
_LEAST, _MOST, _LONG = 0.5, 30.0, 60.0
_MAX_WORDS = 500
NONE = "this machine has no network"


def pasta_command(holder: int, versions: frozenset[int]) -> list[str]:
    """Return the command line for the namespace of a process, with the *versions* of IP that lead anywhere."""
    words = ["pasta", "--foreground", "--quiet", "--config-net", *_CLOSED, "--ns-ifname", UPLINK]
    if 4 in versions:
        words += ["-a", UPLINK4, "-n", "24", "-g", UPLINK_GATEWAY4]
    if 6 in versions:
        words += ["-a", UPLINK6, "-g", UPLINK_GATEWAY6]
    if len(versions) == 1:
        words.append("--ipv4-only" if 4 in versions else "--ipv6-only")
    return [*words, str(holder)]


class Uplink:
    """Keeps pasta running as long as this machine has a network, with growing pauses where it ends by itself."""

    def __init__(self, holder: int, log: Callable[[str], None]) -> None:
        self._holder = holder
        self._log = log
        self._versions: frozenset[int] = frozenset()
        self._changed = asyncio.Event()
        self.trouble = NONE

    def set_versions(self, versions: frozenset[int]) -> None:
        """Say which versions of IP lead anywhere by now."""
        if versions != self._versions:
            self._versions = versions
            self._changed.set()

    async def run(self) -> None:
        """Keep it running until cancelled."""
        pause = _LEAST
        while True:
            self._changed.clear()
            versions = self._versions
            if not versions:
                self.trouble = NONE
                await self._changed.wait()
                continue
            begun = time.monotonic()
            await self._run_once(versions)
            if self._changed.is_set():
                pause = _LEAST
                continue
            pause = _LEAST if time.monotonic() - begun > _LONG else min(2 * pause, _MOST)
            self._log(f"the way out has ended ({self.trouble}); it is tried again in {pause:.0f} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()

    async def _run_once(self, versions: frozenset[int]) -> None:
        """Run pasta until it ends, or other versions lead anywhere."""
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *pasta_command(self._holder, versions),
                stdin=asyncio.subprocess.DEVNULL,
                stderr=pipe,
                env={"PATH": PATH},
                preexec_fn=end_with_parent,
            )
        except OSError as error:
            self.trouble = f"pasta cannot be started: {error.strerror}"
            return
        self.trouble = ""
        assert process.stderr
        words = asyncio.create_task(_last_words(process.stderr))
        changed = asyncio.create_task(self._changed.wait())
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait((changed, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            for task in (changed, ended):
                task.cancel()
        self.trouble = await words or f"pasta ended with code {process.returncode}"


async def _last_words(errors: asyncio.StreamReader) -> str:
    """The last line that a program says, however much it says."""
    last = b""
    while data := await errors.read(4096):
        last = (last + data)[-_MAX_WORDS:]
    lines = last.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""
