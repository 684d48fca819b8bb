"""What all qvm-* commands share: options, connecting, choosing domains, exit codes."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from qubes_manager.cli.options import DONE, FAILED, INTERRUPTED, add_domains, new_parser, wanted_uris
from qubes_manager.core.domain import Domain, DomainClass, DomainKey
from qubes_manager.core.errors import NotFound, QubesManagerError
from qubes_manager.services.assembly import Services
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore

if TYPE_CHECKING:
    from qubes_manager.services.volumes.template_roots import Settlement


@dataclass(frozen=True, slots=True)
class Session:
    """The services of one command, over libvirt hosts that were read once."""

    services: Services
    uris: Sequence[str]

    @property
    def hosts(self) -> Hosts:
        """The connections."""
        return self.services.hosts

    @property
    def store(self) -> DomainStore:
        """The domains, as they were read."""
        return self.services.store

    @property
    def domains(self) -> list[Domain]:
        """All domains, dom0 first, then by name."""
        return sorted(self.store.domains.values(), key=lambda d: (not d.is_host, d.name))

    def find(self, name: str) -> Domain:
        """Return the domain of that name, on the first connection that has it; raises NotFound."""
        for uri in self.uris:
            if domain := self.store.named(uri, name):
                return domain
        raise NotFound(f"no such domain: {name}")

    def find_class(self, name: str, klass: DomainClass) -> Domain:
        """Return the domain of that name and class; raises NotFound."""
        domain = self.find(name)
        if domain.klass is not klass:
            raise NotFound(f"“{name}” is no {klass}")
        return domain

    async def recover(self) -> None:
        """Put in order what a program that died had begun."""
        for uri in self.uris:
            await self.services.recovery.recover_all(uri)

    def fresh(self, domain: Domain) -> Domain:
        """Return the newest snapshot of a domain; raises NotFound."""
        if found := self.store.get(domain.key):
            return found
        raise NotFound(f"no such domain: {domain.name}")


def chosen(parser: argparse.ArgumentParser, options: argparse.Namespace, session: Session) -> list[Domain]:
    """Return the domains that VMNAME, --all and --exclude name; raises NotFound, exits on bad usage."""
    if options.all_domains == bool(options.VMNAME):
        parser.error("name domains, or use --all" if not options.VMNAME else "--all goes without names")
    if options.exclude and not options.all_domains:
        parser.error("--exclude goes with --all")
    if options.VMNAME:
        return [session.find(name) for name in dict.fromkeys(options.VMNAME)]
    for name in options.exclude:
        session.find(name)
    return [d for d in session.domains if not d.is_host and d.name not in options.exclude]


Job = Callable[[Session], Awaitable[int]]


def run(
    options: argparse.Namespace,
    job: Job,
    *,
    watch: bool = False,
    details: bool = True,
    recover: bool = False,
    openers: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Connect, run *job* and return the exit code.

    *watch* hears events; *details* reads all domains' XML; *recover* then puts in order what a program that died left
    half done; *openers* are connections on their way, by URI.
    """
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(options.verbose, 2)]
    logging.basicConfig(level=level if not options.quiet else logging.ERROR, format="%(message)s")
    try:
        return asyncio.run(_run(options, job, watch, details, recover, openers))
    except QubesManagerError as error:
        complain(error, options.verbose)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; python would complain at exit when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


async def _run(
    options: argparse.Namespace, job: Job, watch: bool, details: bool, recover: bool, openers: Mapping[str, Any]
) -> int:
    uris = wanted_uris(options)
    kept: dict[DomainKey, None] = {}

    def on_settled(settlement: "Settlement") -> None:
        print(settlement.sentence, file=sys.stderr)
        if settlement.is_kept:
            kept[settlement.key] = None

    services = Services.connecting(watch=watch, on_settled=on_settled)
    # Not closed at the end: the process ends, and libvirt drops what a gone client had.
    await asyncio.gather(*(services.hosts.load(uri, details=details, opener=openers.get(uri)) for uri in uris))
    session = Session(services, uris)
    if recover:
        await session.recover()
    code = await job(session)
    for key in kept:
        await _tidy(services, key)
    return code


async def _tidy(services: Services, key: DomainKey) -> None:
    """Merge what has grown too long by a run that was settled; what the command was asked for is done by now."""
    try:
        await services.roots.tidy(key)
    except QubesManagerError as error:
        logging.getLogger(__name__).warning("a template’s revisions were not tidied: %s", error)


def complain(error: QubesManagerError, verbose: int = 0) -> None:
    """Print one line on stderr; the raw text too when the user wants to hear more."""
    name = os.path.basename(sys.argv[0])  # noqa: PTH119 - a name, not a path
    print(f"{name}: {error}", file=sys.stderr)
    if verbose and error.details:
        print(error.details, file=sys.stderr)


async def for_each(domains: Iterable[Domain], act: Callable[[Domain], Awaitable[object]], verbose: int = 0) -> int:
    """Do *act* for all domains at once; every failure is said, and the exit code tells of any."""

    async def guarded(domain: Domain) -> bool:
        try:
            await act(domain)
        except QubesManagerError as error:
            complain(error, verbose)
            return False
        return True

    results = await asyncio.gather(*(guarded(domain) for domain in domains))
    return DONE if all(results) else FAILED


def power_command(
    name: str, about: str, argv: Sequence[str] | None, act: Callable[[Session, Domain], Awaitable[object]]
) -> int:
    """Run a command that does one thing to each of the domains that it is given."""
    parser = new_parser(name, about)
    add_domains(parser)
    options = parser.parse_args(argv)

    async def job(session: Session) -> int:
        return await for_each(chosen(parser, options, session), lambda d: act(session, d), options.verbose)

    return run(options, job, details=False)
