"""What qvm-ls does once its options are read and the connections are on their way."""

import asyncio
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qubes_manager.cli.command import Session, complain, report, run
from qubes_manager.cli.ls_options import STATES
from qubes_manager.cli.options import DONE, FAILED
from qubes_manager.cli.tables import print_table
from qubes_manager.core.domain import Domain, DomainState
from qubes_manager.core.errors import BadInput, QubesManagerError, TimedOut
from qubes_manager.core.text import one_cell
from qubes_manager.services.domains.listing import COLUMNS, FORMATS, as_tree, cells, find_columns
from qubes_manager.services.domains.property_table import find_property

_YES = {"y", "yes"}
_USAGE_FIELDS = {"DISK", "IP", *(f"{v}-{what}" for v in ("ROOT", "PRIV") for what in ("CURR", "MAX", "USED", "%"))}
# Seconds for the sizes and addresses of all domains: people wait for the list.
_USAGE_PATIENCE = 10.0
Test = Callable[[Domain], bool]


def show_help(options: Namespace) -> int:
    """Print the formats or the columns; returns the exit code."""
    formats = (f"{name:9}{fields.lower()}" for name, fields in FORMATS.items())
    columns = (f"{column.name:12}{column.about}" for column in COLUMNS.values())
    return report(options, lambda: print("\n".join(formats if options.help_formats else columns)))


def list_domains(options: Namespace, openers: Mapping[str, Any]) -> int:
    """Print the table that the options ask for; returns the exit code."""
    names = (options.fields or FORMATS[options.format]).split(",")

    async def job(session: Session) -> int:
        tests = _tests(options)
        find_columns([options.sort])
        domains = [session.find(name) for name in options.VMNAME] or session.domains
        domains = [d for d in session.without(domains, options.exclude) if all(test(d) for test in tests)]
        complete = True
        if _USAGE_FIELDS & {name.upper() for name in (*names, options.sort)}:
            complete = await _read_usage(session, domains)
            domains = [session.store.get(domain.key) or domain for domain in domains]
        # People see at once why a domain stands still; what scripts read has the columns that they know.
        explained = any(domain.reason for domain in domains) and not (options.raw_data or options.fields)
        if not session.domains:
            # Each host has been complained of.
            return FAILED
        _print(_sorted(domains, options), [*names, "REASON"] if explained else names, options)
        return DONE if complete else FAILED

    return run(options, job, openers=openers, partial=True)


def _tests(options: Namespace) -> list[Test]:
    """The filters that the options ask for; a domain must pass all."""
    tests: list[Test] = []
    states = {DomainState(name.capitalize()) for name in STATES if getattr(options, name)}
    if states:
        tests.append(lambda d: d.state in states)
    wanted = {name: set(getattr(options, name)) for name in ("class", "label", "tags", "exclude_tags")}
    if wanted["class"]:
        tests.append(lambda d: d.klass in wanted["class"])
    if wanted["label"]:
        tests.append(lambda d: bool(d.label and d.label.name in wanted["label"]))
    if wanted["tags"]:
        tests.append(lambda d: bool(d.config.tags & wanted["tags"]))
    if wanted["exclude_tags"]:
        tests.append(lambda d: not d.config.tags & wanted["exclude_tags"])
    if options.template_source:
        tests.append(lambda d: d.is_read and d.config.template in options.template_source)
    if options.netvm_is:
        tests.append(lambda d: d.is_read and (d.config.netvm or "none") in options.netvm_is)
    for name in ("internal", "servicevm"):
        if (answer := getattr(options, name)) not in ("", "both"):
            tests.append(_feature_test(name, answer in _YES))
    if not (options.all or options.VMNAME or options.internal):
        # Nobody has what waits for its use, and it is gone by its own rules.
        tests.append(lambda d: not d.only_waits)
    if options.pending_update:
        tests.append(_feature_test("updates-available", True))
    tests += [_pair_test(text, "features", _feature) for text in options.features]
    tests += [_pair_test(text, "prefs", _pref) for text in options.prefs]
    return tests


def _feature(domain: Domain, name: str) -> str:
    return dict(domain.config.features).get(name, "")


def _pref(domain: Domain, name: str) -> str:
    return find_property(name).read(domain, domain.config) if domain.is_read else ""


def _feature_test(name: str, wanted: bool) -> Test:
    return lambda d: (_feature(d, name) not in ("", "0", "False")) is wanted


def _pair_test(text: str, option: str, read: Callable[[Domain, str], str]) -> Test:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(option, text, "use NAME=VALUE")
    if read is _pref:
        find_property(name)
    return lambda d: read(d, name) == value


async def _read_usage(session: Session, domains: Sequence[Domain]) -> bool:
    """Read sizes and addresses of all domains at once; what does not come in time is said, and its cells stay empty."""
    from qubes_manager.services.hosts.slow_figures import read_disk_sizes, read_guest_addresses

    async def read(domain: Domain) -> None:
        await read_disk_sizes(session.hosts, session.store, domain)
        if domain.state.is_active:
            await read_guest_addresses(session.hosts, session.store, domain)

    tasks = {
        asyncio.create_task(read(domain)): domain.name for domain in domains if not (domain.is_host or domain.stale)
    }
    if not tasks:
        return True
    done, late = await asyncio.wait(tasks, timeout=_USAGE_PATIENCE)
    failures = [error for task in done if (error := _failure(task))]
    if late:
        names = ", ".join(f"“{tasks[task]}”" for task in late)
        failures.append(TimedOut(f"sizes and addresses did not come within {_USAGE_PATIENCE:.0f} s from {names}"))
    for error in failures:
        complain(error)
    return not failures


def _failure(task: "asyncio.Task[None]") -> QubesManagerError | None:
    try:
        task.result()
    except QubesManagerError as error:
        return error
    return None


def _sorted(domains: Sequence[Domain], options: Namespace) -> list[Domain]:
    columns = find_columns([options.sort])

    def key(domain: Domain) -> tuple[bool, str]:
        text = cells(domain, columns)[0]
        first = not domain.is_host if options.sort.upper() == "NAME" and not options.reverse else False
        return first, text.casefold() if options.ignore_case else text

    return sorted(domains, key=key, reverse=options.reverse)


def _print(domains: Sequence[Domain], names: Sequence[str], options: Namespace) -> None:
    if options.raw_list:
        print("\n".join(one_cell(domain.name) for domain in domains))
        return
    columns = find_columns(names)
    ordered = as_tree(domains) if options.tree else [(0, domain) for domain in domains]
    rows = []
    for depth, domain in ordered:
        row = cells(domain, columns)
        if depth and "NAME" in (heads := [column.name for column in columns]):
            row[heads.index("NAME")] = "  " * depth + "└─" + domain.name
        rows.append(row)
    if options.raw_data:
        print("\n".join("|".join(map(one_cell, row)) for row in rows))
    else:
        print_table([column.name for column in columns], rows)
