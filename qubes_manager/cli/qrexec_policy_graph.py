"""qrexec-policy-graph: who may reach whom, as a drawing for Graphviz."""

from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path

from qubes_manager.cli.command import Session, complain, report, run
from qubes_manager.cli.options import DONE, FAILED, new_parser
from qubes_manager.cli.policy import find_system
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.policy.graphviz import graph_lines
from qubes_manager.core.policy.reach import reaches
from qubes_manager.core.policy.subject import System
from qubes_manager.core.policy.system_info import parse_system_info
from qubes_manager.core.policy.tokens import Kind, Place, parse_token
from qubes_manager.services.assembly import Services
from qubes_manager.services.crossing.policy_files import PolicyFiles


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qrexec-policy-graph", "Draw who may reach whom, for Graphviz: allowed red, asked orange.")
    parser.add_argument("--include-ask", action="store_true", help="draw what the user is asked about too")
    parser.add_argument("--source", nargs="+", default=[], metavar="SOURCE", help="only calls of these")
    parser.add_argument("--target", nargs="+", default=[], metavar="TARGET", help="only calls that go to these")
    parser.add_argument("--service", nargs="+", default=[], metavar="SERVICE[+ARG]", help="only these services")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write to FILE and not to standard output")
    parser.add_argument(
        "--policy-dir", type=Path, metavar="FOLDER", help="the folder of policy files, before those of the program"
    )
    parser.add_argument(
        "--system-info", type=Path, metavar="FILE", help="the domains, as JSON, not those that there are"
    )
    parser.add_argument("--skip-labels", action="store_true", help="no names of services; one arrow stands for all")
    parser.add_argument("--full-output", action="store_true", help="write all that rules say, and what is asked about")
    options = parser.parse_args(argv)
    services = Services.connecting(watch=False)
    if options.system_info:
        return report(options, lambda: _draw(options, _read_info(options.system_info), services.policy_files))

    async def job(session: Session) -> int:
        return _draw(options, find_system(session), services.policy_files)

    return run(options, job)


def _draw(options: Namespace, system: System, files: PolicyFiles) -> int:
    policy = (PolicyFiles(options.policy_dir) if options.policy_dir else files).load()
    found = reaches(
        policy,
        system,
        sources=[_name(name, Place.SOURCE, system) for name in options.source],
        targets=[_name(name, Place.REDIRECT, system) for name in options.target],
        services=options.service,
    )
    if not (options.include_ask or options.full_output):
        found = (reach for reach in found if not reach.is_asked)
    lines = graph_lines(found, system, labels=not options.skip_labels, full=options.full_output)
    if options.output:
        _write(options.output, lines)
    else:
        for line in lines:
            print(line)
    for fault in policy.faults:
        complain(QubesManagerError(f"the policy is broken, and only part of it is drawn: {fault}"))
    return FAILED if policy.faults else DONE


def _name(text: str, place: Place, system: System) -> str:
    """*text* as reaches name it; raises BadToken, NotFound for what could be no end of an arrow."""
    token = parse_token(text, place)
    match token.kind:
        case Kind.HOST:
            return HOST_NAME
        case Kind.UUID:
            found = next((subject.name for subject in system.values() if subject.uuid == token.value), text)
        case _:
            found = text
    if token.kind is not Kind.NEW_OF and found not in system:
        raise NotFound(f"no such domain: {text}")
    return found


def _read_info(path: Path) -> System:
    try:
        return parse_system_info(path.read_bytes())
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}") from error


def _write(path: Path, lines: Iterable[str]) -> None:
    try:
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from error
