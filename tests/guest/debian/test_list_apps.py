"""The list of applications that a guest gives, under the system's Python as there."""

import base64
import json
import subprocess
from typing import Any

from PIL import Image

from qubes_manager.backend.host.host_facts import SYSTEM_PYTHON
from qubes_manager.core.applications import parse_applications
from tests.guest.conftest import GUEST, Guest
from tests.waiting import PATIENCE


def listed(guest: Guest) -> bytes:
    command = [SYSTEM_PYTHON, str(GUEST / "list_apps.py")]
    return subprocess.run(command, env=guest.environment, capture_output=True, check=True, timeout=PATIENCE).stdout


def entries(guest: Guest) -> dict[str, dict[str, Any]]:
    return {entry["id"]: entry for entry in json.loads(listed(guest))["apps"]}


def test_what_is_to_be_shown_is_listed_and_nothing_else(guest: Guest) -> None:
    guest.install("org.x.Files", "Name=Files", "Comment=Look at them", "Categories=Utility;X-Own;", "MimeType=text/a;")
    guest.install("xterm", "Terminal=true")
    guest.install("hidden", "NoDisplay=true")
    guest.install("deleted", "Hidden=true")
    guest.install("elsewhere", "OnlyShowIn=KDE;")
    guest.install("not-installed", "TryExec=/no/such/program")
    guest.install("xpra-launcher")
    found = entries(guest)
    assert set(found) == {"org.x.Files", "xterm"}
    assert found["org.x.Files"] == {
        "id": "org.x.Files",
        "name": "Files",
        "comment": "Look at them",
        "categories": ["Utility", "X-Own"],
        "mime": ["text/a"],
        "terminal": False,
        "icon": "",
    }
    assert found["xterm"]["terminal"] is True


def test_icons_are_plain_pixels_and_a_broken_one_is_none(guest: Guest) -> None:
    Image.new("RGB", (48, 48), (255, 0, 0)).save(guest.icons / "red.png")
    (guest.icons / "broken.png").write_bytes(b"\x89PNG\r\n")
    guest.install("red", "Icon=red")
    guest.install("broken", "Icon=broken")
    guest.install("missing", "Icon=missing")
    found = entries(guest)
    assert base64.b64decode(found["red"]["icon"]) == bytes((255, 0, 0, 255)) * 48 * 48
    assert (found["broken"]["icon"], found["missing"]["icon"]) == ("", "")
    # The host takes it as it is.
    assert {app.id: bool(app.icon) for app in parse_applications(listed(guest)).applications} == {
        "red": True,
        "broken": False,
        "missing": False,
    }
