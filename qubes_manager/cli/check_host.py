"""qubes-manager --check-host: can this machine do what is wanted of it?"""

from argparse import Namespace

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, FAILED
from qubes_manager.services.setup.host_check import Verdict

_MARKS = {Verdict.GOOD: "ok", Verdict.POOR: "--", Verdict.BAD: "NO"}


def check_host(options: Namespace) -> int:
    """Print a line for each finding and what to do below it; fails when something that is needed is missing."""

    async def job(session: Session) -> int:
        findings = await session.services.host_check.run(session.uris[0])
        for finding in findings:
            print(f"{_MARKS[finding.verdict]:3} {finding.title}: {finding.found}")
            if finding.advice:
                print(f"      {finding.advice}")
        return FAILED if any(f.verdict is Verdict.BAD for f in findings) else DONE

    return run(options, job, details=False)
