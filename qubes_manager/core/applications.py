"""The applications of a guest, as its own list tells of them. Nothing in that list is trusted."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from qubes_manager.core.errors import BadInput, GuestError
from qubes_manager.core.text import one_line

# Bytes of a whole list, values in it, and how many applications are taken of it.
MAX_LIST = 16 << 20
# As Python's objects, small values take many times their length: 16 MiB of “{}” are 400 MiB.
_MAX_VALUES = 400_000
MAX_APPLICATIONS = 1000
ICON_SIDE = 48
_ICON_BYTES = ICON_SIDE * ICON_SIDE * 4
# A number that a guest makes up is not to fill the line.
_MAX_LEFT_OUT = 1_000_000
_MAX_WORDS = 200
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}", re.ASCII)
_CATEGORY = re.compile(r"[A-Za-z0-9-]{1,60}", re.ASCII)
_MIME = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Application:
    """One application: the name of its .desktop file without the ending, and what it says of itself.

    *icon* is RGBA pixels, ICON_SIDE in a square, or empty.
    """

    id: str
    name: str
    comment: str = ""
    categories: tuple[str, ...] = ()
    mime_types: tuple[str, ...] = ()
    terminal: bool = False
    icon: bytes = b""


def check_id(text: str) -> str:
    """Return *text* when it can be an application's id; raises BadInput."""
    if not _ID.fullmatch(text):
        raise BadInput("application", text[:80], "use the name of its .desktop file, without the ending")
    return text


@dataclass(frozen=True, slots=True)
class ApplicationList:
    """What a guest has, by name, and how many more it has that are not shown: too many, or none that can be named."""

    applications: tuple[Application, ...] = ()
    left_out: int = 0

    @property
    def notice(self) -> str:
        """What to say of those that are left out; empty when there are none."""
        if not self.left_out:
            return ""
        are = "is" if self.left_out == 1 else "are"
        limits = f"only {MAX_APPLICATIONS:,} are shown, and none whose file has an odd name"
        return f"{self.left_out:,} more {are} left out: {limits}"


def parse_applications(data: bytes) -> ApplicationList:
    """Return what a list tells; raises GuestError when it makes no sense."""
    is_bounded = len(data) <= MAX_LIST and data.count(b",") <= _MAX_VALUES
    try:
        found = json.loads(data) if is_bounded else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(entries := found.get("apps"), list):
        raise GuestError("the guest’s list of applications makes no sense")
    taken = [app for app in map(_application, entries[:MAX_APPLICATIONS]) if app]
    by_id = {app.id: app for app in taken}
    # One that is told twice is not left out.
    left_out = len(entries) - len(taken)
    if isinstance(said := found.get("left_out"), int):
        left_out += max(said, 0)
    by_name = sorted(by_id.values(), key=lambda app: (app.name.casefold(), app.id))
    return ApplicationList(tuple(by_name), min(left_out, _MAX_LEFT_OUT))


def dump_applications(found: ApplicationList) -> bytes:
    """The list that ``parse_applications`` reads."""
    entries = [
        {
            "id": app.id,
            "name": app.name,
            "comment": app.comment,
            "categories": app.categories,
            "mime": app.mime_types,
            "terminal": app.terminal,
            "icon": base64.b64encode(app.icon).decode(),
        }
        for app in found.applications
    ]
    return json.dumps({"apps": entries, "left_out": found.left_out}, ensure_ascii=False).encode()


def _application(entry: object) -> Application | None:
    if not isinstance(entry, Mapping):
        return None
    app_id = entry.get("id")
    if not isinstance(app_id, str) or not _ID.fullmatch(app_id):
        return None
    return Application(
        app_id,
        _line(entry.get("name"), 80) or app_id,
        _line(entry.get("comment"), 200),
        _words(entry.get("categories"), _CATEGORY),
        _words(entry.get("mime"), _MIME),
        entry.get("terminal") is True,
        _icon(entry.get("icon")),
    )


def _line(value: object, limit: int) -> str:
    return one_line(value, limit) if isinstance(value, str) else ""


def _words(value: object, pattern: re.Pattern[str]) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(word for word in value[:_MAX_WORDS] if isinstance(word, str) and pattern.fullmatch(word))


def _icon(value: object) -> bytes:
    try:
        pixels = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        return b""
    return pixels if len(pixels) == _ICON_BYTES else b""
