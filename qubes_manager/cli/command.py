"""What all qvm-* commands share: options, connecting, choosing domains, exit codes."""

import argparse
import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from qubes_manager.cli.options import DONE, FAILED, INTERRUPTED, wanted_uris
from qubes_manager.cli.output import finish_output, harmless_output
from qubes_manager.core.domain import Domain, DomainClass, DomainKey, DomainState
from qubes_manager.core.errors import NotFound, QubesManagerError
from qubes_manager.services.assembly import Services
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore

if TYPE_CHECKING:
    from qubes_manager.core.settlement import Settlement


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
        """Return the domain of that name or UUID, on the first connection that has it; raises NotFound."""
        for uri in self.uris:
            if domain := self.store.named(uri, name):
                return domain
        raise NotFound(f"no such domain: {name}")

    def without(self, domains: Iterable[Domain], names: Iterable[str]) -> list[Domain]:
        """Return *domains* but for those of *names*, names or UUIDs; raises NotFound for a name that is nobody's."""
        left_out = set(names)
        for name in left_out:
            self.find(name)
        return [d for d in domains if d.name not in left_out and d.key.uuid not in left_out]

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

    async def serve(self, key: DomainKey) -> None:
        """See that a domain that was started is served: its windows where there is a screen, and what crosses."""
        from qubes_manager.services.gui.link import has_screen

        domain = self.store.get(key)
        if domain and domain.config.gui_port and has_screen():
            await self.services.links.link(key.connection).ensure()
        if domain and (domain.config.crossing_ports or domain.config.assignments):
            await self.services.broker_links.link(key.connection).start()

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
    # What waits for its use is nobody's yet; waking it up would use it.
    return session.without((d for d in session.domains if not d.is_host and not d.only_waits), options.exclude)


Job = Callable[[Session], Awaitable[int]]


def run(
    options: argparse.Namespace,
    job: Job,
    *,
    watch: bool = False,
    details: bool = True,
    recover: bool = False,
    openers: Mapping[str, Any] = MappingProxyType({}),
    partial: bool = False,
) -> int:
    """Connect, run *job* and return the exit code.

    *watch* hears events; *details* reads all domains' XML; *recover* then puts in order what a program that died left
    half done; *openers* are connections on their way, by URI. *partial* is for a list: what is known is enough, and a
    host that does not tell more is complained of.
    """
    return report(options, lambda: asyncio.run(_run(options, job, watch, details, recover, openers, partial)))


def report(options: argparse.Namespace, work: Callable[[], int | None]) -> int:
    """Do *work* and return its exit code (None is success); whatever goes wrong is said in one line."""
    with harmless_output():
        level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(options.verbose, 2)]
        logging.basicConfig(level=level if not options.quiet else logging.ERROR, format="%(message)s")
        code = _code_of(options, work)
        # What does not reach its reader is no success.
        if error := finish_output():
            if isinstance(error, QubesManagerError) and code == DONE:
                complain(error)
            return code or FAILED
        return code


def _code_of(options: argparse.Namespace, work: Callable[[], int | None]) -> int:
    try:
        return work() or DONE
    except QubesManagerError as error:
        complain(error, options.verbose)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough.
        return FAILED
    except Exception as error:
        logging.getLogger(__name__).debug("not expected", exc_info=True)
        complain(QubesManagerError(f"a fault of this program: {error!r} (-vv says where)"))
    return FAILED


async def _run(
    options: argparse.Namespace,
    job: Job,
    watch: bool,
    details: bool,
    recover: bool,
    openers: Mapping[str, Any],
    partial: bool,
) -> int:
    uris = wanted_uris(options)
    kept: dict[DomainKey, None] = {}

    def on_settled(settlement: "Settlement") -> None:
        print(settlement.sentence, file=sys.stderr)
        if settlement.is_kept:
            kept[settlement.key] = None

    services = Services.connecting(watch=watch, on_settled=on_settled)
    # Not closed at the end: the process ends, and libvirt drops what a gone client had.

    async def load(uri: str) -> int:
        try:
            await services.hosts.load(uri, details=details, opener=openers.get(uri))
        except QubesManagerError as error:
            if not partial:
                raise
            complain(error, options.verbose)
            await services.hosts.load_names(uri)
            return FAILED
        return DONE

    loaded = await asyncio.gather(*(load(uri) for uri in uris))
    session = Session(services, uris)
    if recover:
        await session.recover()
    code = max(await job(session), *loaded)
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
    # Where nothing can be said any more the exit code still tells.
    with contextlib.suppress(OSError, QubesManagerError):
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


def chosen_in(
    states: Iterable[DomainState], parser: argparse.ArgumentParser, options: argparse.Namespace, session: Session
) -> list[Domain]:
    """Return the domains that are named, or with --all those in one of *states*; raises NotFound."""
    domains = chosen(parser, options, session)
    return [d for d in domains if d.state in states] if options.all_domains else domains
