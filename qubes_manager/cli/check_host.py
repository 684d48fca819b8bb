"""qubes-manager --check-host: can this machine do what is wanted of it?"""

import asyncio
from argparse import Namespace

from qubes_manager.cli.command import report
from qubes_manager.cli.options import DONE, FAILED, wanted_uris
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.assembly import Services
from qubes_manager.services.setup.host_check import Verdict

_MARKS = {Verdict.GOOD: "ok", Verdict.POOR: "--", Verdict.BAD: "NO"}


def check_host(options: Namespace) -> int:
    """Print a line for each finding and what to do below it; fails when something that is needed is missing."""
    return report(options, lambda: asyncio.run(_check(wanted_uris(options)[0])))


async def _check(uri: str) -> int:
    services = Services.connecting(watch=False)
    trouble = ""
    try:
        await services.hosts.load(uri, details=False)
    except QubesManagerError as error:
        # A machine without a libvirt is what this is most wanted for.
        trouble = str(error)
    findings = await services.host_check.run(uri, trouble)
    for finding in findings:
        print(f"{_MARKS[finding.verdict]:3} {finding.title}: {finding.found}")
        if finding.advice:
            print(f"      {finding.advice}")
    return FAILED if any(f.verdict is Verdict.BAD for f in findings) else DONE
