"""How tests are shared out among workers (pytest-xdist), each of which has a libvirtd of its own.

Marks for groups would do, but this pytest no longer takes the names that xdist 3.8 gives to marked tests.
"""

from xdist.scheduler import LoadScopeScheduling

# What takes longest comes first, so that no worker is left alone with it at the end.
FIRST = (
    "gui/test_another_screen",
    "gui/test_gui",
    "test_debian",
    "test_template_machine",
    "test_crashes",
    "test_templates",
    "test_disposables",
    "test_crossing_kills",
)
# Tests that share a guest stay together: it takes long to come. All that have a Debian guest would keep one worker
# busier than the others.
GROUPS = {
    "test_debian": "debian",
    "gui/test_another_screen": "desk",
    "gui/test_gui": "desk",
    "test_crossing_ports": "crossing",
    "test_crossing_copy": "copying",
    "test_crossing_kills": "copying",
    "test_crossing_calls": "crossing",
    "test_clipboard_guests": "crossing",
    "desk/test_clipboard": "desk",
    "desk/test_files": "desk",
    "desk/test_services": "desk",
    "test_guest_tools": "crossing",
    "test_hostile_files": "crossing",
    "test_block_devices": "guest",
    "test_commands_on_guests": "guest",
    "test_events": "guest",
    "test_file_copies": "guest",
    "tests/viewers/real/test_full_screen": "viewers",
    "tests/viewers/real/test_keyboard": "viewers",
    "tests/viewers/real/test_looks": "viewers",
    "tests/viewers/real/test_menu": "viewers",
    "tests/viewers/real/test_own_title_bar": "title bars",
    "tests/viewers/real/test_scale": "viewers",
    "tests/viewers/real/test_windows": "viewers",
    "tests/viewers/test_hostile_server": "lies",
    "test_mute_agents": "guest",
    # The machine beyond this one has one address.
    "test_network": "network",
    "test_network_of_domains": "network",
    "test_vpn": "network",
    "tests/viewers/protocol/test_servers": "xpra",
    "tests/viewers/input/test_typed_in_guests": "typing",
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
