"""Names of domains."""

import pytest

from qubes_manager.core.errors import BadInput
from qubes_manager.core.names import check_name


@pytest.mark.parametrize("name", ["a", "Work", "my-vm_2.test", "x" * 31])
def test_good_names_pass(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "1a", "-a", "a b", "ä", "x" * 32, "dom0", "DOM0", "none", "a/b", "a\n", "../x"])
def test_bad_names_are_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(BadInput, match=r"name: .* cannot be used; "):
        check_name(name)
