"""How tests are shared out among workers (pytest-xdist), each of which has a libvirtd of its own.

Marks for groups would do, but this pytest no longer takes the names that xdist 3.8 gives to marked tests.
"""

from xdist.scheduler import LoadScopeScheduling

# What takes longest comes first, so that no worker is left alone with it at the end.
FIRST = ("test_debian", "test_gui", "test_template_machine", "test_crashes", "test_templates")
# Tests that share a guest stay together: it takes long to come.
GROUPS = {
    "test_debian": "debian",
    "test_gui": "debian",
    "test_block_devices": "guest",
    "test_commands_on_guests": "guest",
    "test_events": "guest",
}


def rank(nodeid: str) -> int:
    """The place of a test's file in the order in which files are begun."""
    file = _file(nodeid)
    return FIRST.index(file) if file in FIRST else len(FIRST)


class Shares(LoadScopeScheduling):  # type: ignore[misc]
    """Gives whole groups to workers, and all other tests one by one."""

    def _split_scope(self, nodeid: str) -> str:
        return GROUPS.get(_file(nodeid), nodeid)


def _file(nodeid: str) -> str:
    path = nodeid.partition("::")[0]
    return path.removeprefix("tests/integration/").removesuffix(".py")
