"""The lock that keeps two programs from changing one domain."""

import asyncio
import subprocess
import sys

import pytest

from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.errors import Refused


async def test_a_domain_is_changed_by_one_program_at_a_time() -> None:
    holder = (
        "import asyncio, sys; from qubes_manager.backend.user.domain_lock import domain_lock\n"
        "async def main():\n"
        "    async with domain_lock('u', 'work'):\n"
        "        print('held', flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    process = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE)
    assert process.stdout
    assert await asyncio.to_thread(process.stdout.readline) == b"held\n"
    with pytest.raises(Refused, match="“work” is being changed by another"):
        async with domain_lock("u", "work", 0.1):
            pass
    async with domain_lock("other", "mail", 0.1):
        pass
    # Whoever dies lets go.
    process.kill()
    process.wait()
    async with domain_lock("u", "work", 1):
        pass
    async with domain_lock("u", "work", 0, shared=True), domain_lock("u", "work", 0, shared=True):
        with pytest.raises(Refused):
            async with domain_lock("u", "work", 0):
                pass
