"""qvm-create: make a domain."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from qubes_manager.cli.command import Session, run
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.core.domain import DomainClass
from qubes_manager.core.errors import BadInput
from qubes_manager.core.sizes import format_size
from qubes_manager.core.values import parse_number
from qubes_manager.services.creation import Creation
from qubes_manager.services.creation_request import DEFAULT_MEMORY, DEFAULT_VCPUS, CreationRequest

_CLASSES = {
    DomainClass.STANDALONE: "owns its whole system",
    DomainClass.APP: "takes its system from a template (not yet)",
    DomainClass.TEMPLATE: "gives its system to others (not yet)",
    DomainClass.DISPOSABLE: "is gone when it stops (not yet)",
}
# Qubes' names of properties, and the fields of a request that they set.
_NUMBERS = {"memory": (64, 1 << 24), "vcpus": (1, 512)}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-create", "Make a domain from a disk image or an ISO.")
    parser.add_argument("--class", "-C", dest="klass", default=DomainClass.APP.value, help="class (default AppVM)")
    parser.add_argument("--standalone", action="store_true", help="the same as --class StandaloneVM")
    parser.add_argument("--disp", action="store_true", help="the same as --class DispVM --label red")
    parser.add_argument("--property", "--prop", action="append", default=[], metavar="NAME=VALUE", help="may repeat")
    parser.add_argument("--pool", "-p", action="append", default=[], metavar="VOLUME=POOL", help="not yet")
    parser.add_argument("-P", dest="one_pool", metavar="POOL", help="not yet")
    parser.add_argument("--template", "-t", help="not yet")
    parser.add_argument("--label", "-l", help="trust colour")
    parser.add_argument("--help-classes", action="store_true", help="list the classes, and exit")
    root = parser.add_mutually_exclusive_group()
    root.add_argument("--root-copy-from", "-r", metavar="FILE", help="make the system of a copy of this image")
    root.add_argument("--root-move-from", "-R", metavar="FILE", help="the same, and delete the file")
    parser.add_argument("--checksum", metavar="DIGEST", help="SHA-256 or SHA-512 that the image must have")
    parser.add_argument("VMNAME", nargs="?", help="what to call it")
    options = parser.parse_args(argv)
    if options.help_classes:
        for klass, about in _CLASSES.items():
            print(f"{klass.value:14}{about}")
        return DONE
    if options.VMNAME is None:
        parser.error("name the domain")
    if options.label is None and not options.disp:
        parser.error("--label is needed")

    async def job(session: Session) -> int:
        last = [-1]

        def progress(step: str, done: int, total: int) -> None:
            percent = 100 * done // total if total else 0
            if sys.stderr.isatty() and not options.quiet and percent != last[0]:
                last[0] = percent
                amount = f" {percent} % of {format_size(total)}" if total else ""
                print(f"\r\x1b[K{step}{amount}", end="", file=sys.stderr, flush=True)

        creation = Creation(session.hosts, session.store)
        try:
            await creation.create(session.uris[0], _request(options), progress=progress)
        finally:
            if last[0] >= 0:
                print("\r\x1b[K", end="", file=sys.stderr)
        return DONE

    return run(options, job, details=False)


def _request(options: Namespace) -> CreationRequest:
    klass = DomainClass.STANDALONE.value if options.standalone else options.klass
    klass = DomainClass.DISPOSABLE.value if options.disp else klass
    if klass not in list(DomainClass):
        raise BadInput("class", klass, f"use one of {', '.join(_CLASSES)}")
    for name, value in (("template", options.template), ("pool", options.one_pool or options.pool)):
        if value:
            raise BadInput(name, str(value), "templates and pools of one's own cannot be chosen yet")
    numbers = {"memory": DEFAULT_MEMORY, "vcpus": DEFAULT_VCPUS}
    netvm = "user"
    for entry in options.property:
        name, equals, value = entry.partition("=")
        if name in _NUMBERS and equals:
            numbers[name] = parse_number(value, name, *_NUMBERS[name])
        elif name == "netvm" and equals:
            netvm = "" if value in ("", "none", "None") else value
        else:
            raise BadInput("property", entry, f"use NAME=VALUE with one of {', '.join(_NUMBERS)}, netvm")
    source = options.root_copy_from or options.root_move_from
    return CreationRequest(
        name=options.VMNAME,
        label=options.label or "red",
        klass=DomainClass(klass),
        image=Path(source) if source else None,
        move=bool(options.root_move_from),
        checksum=options.checksum or "",
        netvm=netvm,
        memory=numbers["memory"],
        vcpus=numbers["vcpus"],
    )
