"""How a guest has its services run: files ``SERVICE+ARGUMENT`` or ``SERVICE`` with lines ``name=value``, as in Qubes.

``force-user='NAME'`` runs it as that user, whatever the policy says; ``wait-for-session=true`` waits for the user's
session. Qubes has three more, for services that are sockets, which there are none of here.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)
# Where they lie: the user's and the template's.
FOLDERS = (Path("/usr/local/etc/qubes/rpc-config"), Path("/etc/qubes/rpc-config"))
_LINE = re.compile(r"([A-Za-z0-9._-]+)[ \t]*=[ \t]*(?:'([^']*)'|([A-Za-z0-9]+))[ \t]*(?:#.*)?", re.ASCII)
_TRUTHS = {"true": True, "false": False}
# Qubes takes numbers for this one alone.
_NUMBERS = {"1": True, "0": False}
_OF_SOCKETS = frozenset({"exit-on-client-eof", "exit-on-service-eof", "skip-service-descriptor"})


class BadSettings(Exception):
    """A file with settings cannot be used; says which line, and why."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What is set; None and an empty *user* is what is not."""

    user: str = ""
    waits_for_session: bool | None = None


def read_settings(path: Path) -> ServiceSettings:
    """The settings in the file *path*; raises BadSettings.

    What is wrong is never passed over: it may have been meant to run the service with fewer rights.
    """
    found: dict[str, str | bool] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise BadSettings(f"{path}: {error}") from error
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        try:
            name, value = _setting(line)
            if name in found:
                raise BadSettings(f"{name} is there twice")
        except BadSettings as error:
            raise BadSettings(f"{path}:{number}: {error}") from None
        found[name] = value
    for name in sorted(_OF_SOCKETS & found.keys()):
        log.warning("%s: %s is for services that are sockets, and is left out", path, name)
    user, waits = found.get("force-user", ""), found.get("wait-for-session")
    return ServiceSettings(str(user), None if waits is None else bool(waits))


def _setting(line: str) -> tuple[str, str | bool]:
    match = _LINE.fullmatch(line)
    if not match:
        raise BadSettings("this is no name=value, the value a text in single quotes, true or false")
    name, text, word = match[1], match[2], match[3]
    if name == "force-user":
        if not text:
            raise BadSettings("force-user wants a user's name in single quotes")
        return name, text
    if name != "wait-for-session" and name not in _OF_SOCKETS:
        raise BadSettings(f"there is no setting {name}: there are force-user and wait-for-session")
    truths = _TRUTHS | (_NUMBERS if name == "wait-for-session" else {})
    if word not in truths:
        raise BadSettings(f"{name} wants true or false")
    return name, truths[word]
