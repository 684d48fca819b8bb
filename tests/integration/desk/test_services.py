"""Services that one real Debian domain has of another, and of this machine, by the commands of its user."""

from collections.abc import Iterator

import pytest

from tests.desk import Desk
from tests.integration.desk.conftest import MARKS, in_guest

pytestmark = MARKS
# Says once what comes to it, in capitals.
SERVER = """
import socket
with socket.create_server(("localhost", 4711)) as server, server.accept()[0] as client:
    client.sendall(client.recv(100).upper())
"""
NOTIFY = """gdbus call --session --dest org.freedesktop.Notifications --object-path /org/freedesktop/Notifications \
--method org.freedesktop.Notifications.Notify mail "uint32 0" "" "New mail" "From Alice" "@as []" "@a{sv} {}" 5000"""


@pytest.fixture(scope="module", autouse=True)
def _allowed(desk: Desk) -> Iterator[None]:
    """Untrusted may have of work what it may not by default."""
    policy = desk.config / "qubes-manager/policy.d/30-user.policy"
    policy.parent.mkdir(parents=True, exist_ok=True)
    services = ("qubes.VMExec *", "qubes.VMExecGUI *", "qubes.ConnectTCP +4711", "qubes.StartApp *")
    rules = [f"{service} untrusted work allow" for service in services]
    policy.write_text("\n".join([*rules, "qubes.GetImageRGBA * untrusted @dispvm allow target=work", ""]))
    yield
    policy.unlink()


def test_commands_run_in_another_domain(desk: Desk) -> None:
    run = "echo hello | qvm-run-vm -t work tr a-z A-Z; qvm-run-vm work 'exit 3'; echo $?"
    assert in_guest(desk, "untrusted", run) == "HELLO\n3"


def test_a_port_of_another_domain_is_reached(desk: Desk) -> None:
    in_guest(desk, "work", f"setsid -f python3 -c '{SERVER}' >/dev/null 2>&1; until ss -ltn | grep -q 4711; do :; done")
    reach = "echo through | qrexec-client-vm work qubes.ConnectTCP+{}"
    assert in_guest(desk, "untrusted", reach.format(4711)) == "THROUGH"
    assert in_guest(desk, "untrusted", f"{reach.format(4712)} 2>&1; echo $?").endswith("\n126")


def test_an_application_of_another_domain_is_started(desk: Desk) -> None:
    before = set(desk.windows("[work]"))
    in_guest(desk, "untrusted", "qrexec-client-vm work qubes.StartApp+debian-uxterm")
    desk.until(lambda: set(desk.windows("[work]")) - before, "its window")
    [window] = set(desk.windows("[work]")) - before
    desk.tool("wmctrl", "-i", "-c", window)


def test_what_a_program_announces_comes_to_the_users_desktop_under_its_domains_name(desk: Desk) -> None:
    in_guest(desk, "untrusted", f"/usr/lib/qubes-manager/in-session '{NOTIFY}'")
    notices = desk.folder / "notices"
    desk.until(
        lambda: notices.exists() and "Message from untrusted: New mail\nFrom Alice\n" in notices.read_text(),
        "it is shown",
    )
    # When the domain started it asked for the time too.
    assert "qubes.GetDate" in desk.run("qubes-manager", "policy", "log").stdout


def test_a_picture_is_made_plain_where_the_policy_says(desk: Desk) -> None:
    draw = "from PIL import Image; Image.new('RGB', (40, 30), (10, 20, 30)).save('drawn.bmp')"
    look = "from PIL import Image; i = Image.open('drawn.trusted.png'); print(i.size, i.getpixel((39, 29)))"
    plain = f'python3 -c "{draw}"; qvm-convert-img drawn.bmp && python3 -c "{look}"; ls QubesUntrustedImages'
    assert in_guest(desk, "untrusted", plain) == "(40, 30) (10, 20, 30)\ndrawn.bmp"
