"""qvm-create: make a domain."""

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qubes_manager.cli.command import Session, report, run
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.cli.passphrase import ask_passphrase
from qubes_manager.cli.progress_line import progress_line
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import NO_DISPOSABLES, DomainClass
from qubes_manager.core.errors import BadInput, QubesManagerError
from qubes_manager.core.progress import Progress
from qubes_manager.core.sizes import parse_size
from qubes_manager.core.values import MAX_MEMORY_MIB, MAX_VCPUS, parse_bool, parse_number
from qubes_manager.services.domains.property_table import find_property
from qubes_manager.services.files.checksum_lists import checksum_for
from qubes_manager.services.files.global_defaults import GlobalDefaults
from qubes_manager.services.files.tunnel_file import read_tunnel

_CLASSES = {
    DomainClass.APP: "takes its system from a template, keeps its own data",
    DomainClass.STANDALONE: "owns its whole system: a copy of a template's, or of an image",
    DomainClass.TEMPLATE: "gives its system to others (from an image; see qvm-template)",
    DomainClass.DISPOSABLE: "forgets all that it wrote when it stops; starts from an AppVM for disposables",
}


def _name(text: str, _field: str) -> str:
    return "" if text in ("", "none", "None") else text


# Properties that can be set at creation, and how their values are read.
_PROPERTIES: dict[str, Callable[[str, str], Any]] = {
    "memory": lambda text, field: parse_number(text, field, 64, MAX_MEMORY_MIB),
    "maxmem": lambda text, field: parse_number(text, field, 64, MAX_MEMORY_MIB),
    "vcpus": lambda text, field: parse_number(text, field, 1, MAX_VCPUS),
    "netvm": _name,
    "default_dispvm": lambda text, _field: NO_DISPOSABLES if text == "None" else text,
    "template": _name,
    "label": _name,
    "kernelopts": lambda text, _field: text,
    "virt_mode": lambda text, _field: text,
    "autostart": parse_bool,
    "include_in_backups": parse_bool,
    "template_for_dispvms": parse_bool,
    "provides_network": parse_bool,
}
_FIELDS = {"maxmem": "max_memory"}


def _parser() -> ArgumentParser:
    parser = new_parser("qvm-create", "Make a domain from a template, a disk image or an ISO.")
    parser.add_argument("--class", "-C", dest="klass", default=DomainClass.APP.value, help="class (default AppVM)")
    parser.add_argument("--standalone", action="store_true", help="the same as --class StandaloneVM")
    parser.add_argument("--disp", action="store_true", help="the same as --class DispVM --label red")
    parser.add_argument("--property", "--prop", action="append", default=[], metavar="NAME=VALUE", help="may repeat")
    parser.add_argument(
        "--pool", "-p", action="append", default=[], metavar="VOLUME=POOL", help="pool of root, private"
    )
    parser.add_argument("-P", dest="one_pool", metavar="POOL", help="pool of all volumes")
    parser.add_argument("--template", "-t", help="the template (default: qubes-prefs default_template)")
    parser.add_argument("--label", "-l", help="trust colour")
    parser.add_argument("--help-classes", action="store_true", help="list the classes, and exit")
    root = parser.add_mutually_exclusive_group()
    root.add_argument("--root-copy-from", "-r", metavar="FILE", help="make the system of a copy of this image")
    root.add_argument("--root-move-from", "-R", metavar="FILE", help="the same, and delete the file")
    parser.add_argument(
        "--unpack-limit", metavar="SIZE", help="what a packed image may have in it (default: free space)"
    )
    checksum = parser.add_mutually_exclusive_group()
    checksum.add_argument("--checksum", metavar="DIGEST", help="SHA-256 or SHA-512 that the image must have")
    checksum.add_argument("--checksum-file", metavar="FILE", help="take it from a SHA256SUMS or SHA512SUMS file")
    parser.add_argument(
        "--cloud-init", action="store_true", help="the image is a cloud image: give it a user and agent"
    )
    parser.add_argument("--private-size", metavar="SIZE", help="size of the private volume (default 10G)")
    parser.add_argument("--encrypt", action="store_true", help="encrypt the private volume; asks for a passphrase")
    parser.add_argument(
        "--wireguard",
        metavar="FILE",
        help="a domain that leads others through the tunnel of this file for wg-quick, and lets nothing past it",
    )
    parser.add_argument("--uefi", action="store_true", help="boot the image by UEFI")
    parser.add_argument("VMNAME", nargs="?", help="what to call it")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.help_classes:
        lines = [f"{klass.value:14}{about}" for klass, about in _CLASSES.items()]
        return report(options, lambda: print("\n".join(lines)))
    if options.VMNAME is None:
        parser.error("name the domain")
    is_disposable = options.disp or options.klass == DomainClass.DISPOSABLE
    if options.label is None and not is_disposable and not any(p.startswith("label=") for p in options.property):
        parser.error("--label is needed")

    async def job(session: Session) -> int:
        if is_disposable:
            return await _create_disposable(session, options)
        request = _request(options, session.services.defaults)
        if options.encrypt:
            request = replace(request, passphrase=ask_passphrase("Passphrase of the private volume", twice=True))
        with progress_line(quiet=bool(options.quiet)) as progress:
            if options.wireguard:
                return await _create_vpn(session, request, Path(options.wireguard), progress)
            await session.services.creation.create(session.uris[0], request, progress=progress)
        return DONE

    return run(options, job, recover=True)


async def _create_vpn(session: Session, request: CreationRequest, file: Path, progress: Progress) -> int:
    tunnel = await asyncio.to_thread(read_tunnel, file)
    _key, note = await session.services.vpn.create(session.uris[0], request, tunnel, progress=progress)
    if note:
        print(f"qvm-create: {note}", file=sys.stderr)
    return DONE


async def _create_disposable(session: Session, options: Namespace) -> int:
    """Make a disposable that has a name; what is set of it is set before anybody is told of it."""
    services, uri = session.services, session.uris[0]
    wanted = dict(_split(entry) for entry in options.property)
    if options.label or options.disp:
        wanted["label"] = options.label or "red"
    template = options.template or wanted.pop("template", "")
    setters = [(find_property(name), value) for name, value in wanted.items()]
    for prop, value in setters:
        if prop.write is None:
            raise BadInput("property", prop.name, f"it cannot be set to {value[:40]}")
    found = session.find(template) if template else await services.disposables.default_for(uri)
    with progress_line(quiet=bool(options.quiet)) as progress:
        key = await services.disposables.define(found.key, options.VMNAME, progress)
    try:
        for prop, value in setters:
            assert prop.write
            await prop.write(services.properties, key, value)
    except QubesManagerError:
        await services.removal.remove(key)
        raise
    return DONE


def _split(entry: str) -> tuple[str, str]:
    name, equals, value = entry.partition("=")
    if not equals:
        raise BadInput("property", entry[:80], "use NAME=VALUE")
    return name, value


def _request(options: Namespace, defaults: GlobalDefaults) -> CreationRequest:
    klass = DomainClass.STANDALONE.value if options.standalone else options.klass
    klass = DomainClass.DISPOSABLE.value if options.disp else klass
    if klass not in list(DomainClass):
        raise BadInput("class", klass, f"use one of {', '.join(_CLASSES)}")
    source = options.root_copy_from or options.root_move_from
    fields: dict[str, Any] = {"netvm": defaults.get("default_netvm"), "pool": defaults.get("default_pool")}
    fields |= _properties(options.property) | _pools(options)
    template = options.template or fields.pop("template", "")
    if not template and not source:
        template = defaults.get("default_template")
    if options.private_size:
        fields["private_size"] = parse_size(options.private_size, "private size")
    if options.unpack_limit:
        fields["unpack_limit"] = parse_size(options.unpack_limit, "unpack limit")
    checksum = options.checksum or ""
    if options.checksum_file and source:
        checksum = checksum_for(Path(options.checksum_file), Path(source))
    return CreationRequest(
        name=options.VMNAME,
        label=options.label or fields.pop("label", "red"),
        klass=DomainClass(klass),
        template=template,
        image=Path(source) if source else None,
        move=bool(options.root_move_from),
        checksum=checksum,
        seed=options.cloud_init,
        uefi=options.uefi,
        **{name: value for name, value in fields.items() if name != "label"},
    )


def _properties(entries: Sequence[str]) -> dict[str, Any]:
    found = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if name not in _PROPERTIES or not equals:
            raise BadInput("property", entry[:80], f"use NAME=VALUE with one of {', '.join(_PROPERTIES)}")
        found[_FIELDS.get(name, name)] = _PROPERTIES[name](value, name)
    return found


def _pools(options: Namespace) -> dict[str, str]:
    found = {"pool": options.one_pool, "private_pool": options.one_pool} if options.one_pool else {}
    for entry in options.pool:
        volume, equals, pool = entry.partition("=")
        if volume not in ("root", "private") or not equals or not pool:
            raise BadInput("pool", entry[:80], "use root=POOL or private=POOL")
        found["pool" if volume == "root" else "private_pool"] = pool
    return found
