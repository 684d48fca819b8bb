"""The table that qvm-ls prints."""

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState, Usage
from qubes_manager.core.interfaces import Interface
from qubes_manager.services.domains.listing import COLUMNS, FORMATS, as_tree, cells, find_columns, table
from qubes_manager.services.domains.property_table import PROPERTIES

WORK = Domain(
    DomainKey("test:///x", "1"),
    "work",
    DomainState.RUNNING,
    config=DomainConfig(initial_memory_kib=768 * 1024, maximum_memory_kib=4096 * 1024),
    usage=Usage(memory_kib=1000 * 1024),
)
UNREAD_ROW = Domain(DomainKey("test:///x", "2"), "unread", DomainState.HALTED)


def test_memory_is_told_in_mib_at_start_at_most_and_now() -> None:
    assert cells(WORK, find_columns(["INITIALMEM", "MAXMEM", "MEMORY"])) == ["768", "4096", "1000"]


def test_the_properties_agree_with_the_columns() -> None:
    columns = {"memory": "INITIALMEM", "maxmem": "MAXMEM"}
    for name, column in columns.items():
        assert [PROPERTIES[name].read(WORK, WORK.config)] == cells(WORK, find_columns([column]))


def test_a_domain_that_was_not_read_shows_nothing_made_up() -> None:
    columns = find_columns(["NAME", "CLASS", "LABEL", "TEMPLATE", "INITIALMEM", "MAXMEM", "MEMORY", "VCPUS", "TAGS"])
    assert cells(UNREAD_ROW, columns) == ["unread", *["-"] * 8]


def test_a_domain_whose_network_is_no_domain_stands_at_the_root_of_the_tree() -> None:
    assert as_tree([UNREAD_ROW, WORK]) == [(0, UNREAD_ROW), (0, WORK)]


def test_the_tree_has_each_domain_once_behind_the_one_whose_network_it_has() -> None:
    def domain(name: str, via: str = "") -> Domain:
        own = (Interface("user"),)
        emulator = "/x/qubes-manager/network/qemu"
        config = DomainConfig(interfaces=own, emulator=emulator, network=via and "an old name", network_uuid=via)
        return Domain(DomainKey("test:///x", name), name, DomainState.HALTED, config=config)

    domains = [domain("a", "vpn"), domain("b", "gate"), domain("gate"), domain("loop", "pool"), domain("pool", "loop")]
    domains += [domain("vpn", "gate"), domain("z", "one that is not shown")]
    assert [(depth, d.name) for depth, d in as_tree(domains)] == [
        *((0, "gate"), (1, "b"), (1, "vpn"), (2, "a")),
        (0, "z"),
        *((0, "loop"), (1, "pool")),
    ]


def test_all_formats_name_columns_that_there_are() -> None:
    for fields in FORMATS.values():
        assert find_columns(fields.split(","))
    host = Domain(DomainKey("x", "y"), "z", DomainState.HALTED)
    for column in COLUMNS.values():
        assert isinstance(column.value(host, DomainConfig()), str)
    assert table([host]).splitlines()[1].split() == ["z", "Halted", "-", "-", "-", "-"]
    assert all(isinstance(p.read(host, DomainConfig()), str) for p in PROPERTIES.values())
