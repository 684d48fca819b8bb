"""Tables of domains."""

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.services.domains.listing import COLUMNS, FORMATS, find_columns, table
from qubes_manager.services.domains.property_table import PROPERTIES


def test_all_formats_name_columns_that_there_are() -> None:
    for fields in FORMATS.values():
        assert find_columns(fields.split(","))
    host = Domain(DomainKey("x", "y"), "z", DomainState.HALTED)
    for column in COLUMNS.values():
        assert isinstance(column.value(host, DomainConfig()), str)
    assert table([host]).splitlines()[1].split() == ["z", "Halted", "-", "-", "-", "-"]
    assert all(isinstance(p.read(host, DomainConfig()), str) for p in PROPERTIES.values())
