"""Services in plain words: what a domain wants when it asks for one, for those who are to say yes or no."""

from collections.abc import Callable
from dataclasses import dataclass

from qubes_manager.core.crossing.services import (
    CLIPBOARD_PASTE,
    CONNECT_TCP,
    FILECOPY,
    GET_DATE,
    GET_IMAGE,
    NOTIFICATIONS,
    OPEN_IN_VM,
    OPEN_URL,
    PDF_CONVERT,
    START_APP,
    VM_EXEC,
    VM_EXEC_GUI,
    VM_SHELL,
)
from qubes_manager.core.sizes import format_size

# What this machine asks the user about devices that are assigned so; no guest can call it.
ATTACH_DEVICE = "qubes-manager.AttachDevice"


@dataclass(frozen=True, slots=True)
class ServiceWords:
    """*title* names a service in a table; *wish* goes on after “untrusted wants to”, from the argument and things."""

    title: str
    wish: Callable[[str, str], str]


_SERVICES = {
    FILECOPY: ServiceWords("Copy files", lambda _argument, things: f"copy {things} to another domain"),
    OPEN_IN_VM: ServiceWords("Open files", lambda _argument, things: f"open {things} in another domain"),
    OPEN_URL: ServiceWords("Open links", lambda _argument, _things: "open a link in another domain"),
    CLIPBOARD_PASTE: ServiceWords(
        "Paste text", lambda _argument, _things: "paste what was copied in it into another domain"
    ),
    START_APP: ServiceWords(
        "Start applications",
        lambda argument, _things: f"start {f'“{argument}”' if argument else 'an application'} in another domain",
    ),
    VM_SHELL: ServiceWords("Run commands", lambda _argument, _things: "run commands in another domain"),
    VM_EXEC: ServiceWords("Run a command", lambda _argument, _things: "run a command in another domain"),
    VM_EXEC_GUI: ServiceWords("Run a program", lambda _argument, _things: "run a program in another domain"),
    "qubes.VMRootShell": ServiceWords(
        "Run commands as root", lambda _argument, _things: "run commands in another domain, as root"
    ),
    CONNECT_TCP: ServiceWords(
        "Connect to a port",
        lambda argument, _things: f"connect to {f'port {argument}' if argument else 'a port'} of another domain",
    ),
    PDF_CONVERT: ServiceWords(
        "Make a PDF plain", lambda _argument, things: f"have {things} made plain by another domain"
    ),
    GET_IMAGE: ServiceWords(
        "Make a picture plain", lambda _argument, things: f"have {things} made plain by another domain"
    ),
    ATTACH_DEVICE: ServiceWords("Attach a device", lambda _argument, _things: "give a device to a domain"),
    GET_DATE: ServiceWords("Tell the time", lambda _argument, _things: "know what time it is"),
    NOTIFICATIONS: ServiceWords("Show notices", lambda _argument, _things: "show a notice on your desktop"),
    "qubes.UpdatesProxy": ServiceWords(
        "Fetch updates", lambda _argument, _things: "fetch updates through another domain"
    ),
    "qubes.Gpg": ServiceWords("Use a key", lambda _argument, _things: "use a key that another domain keeps"),
}


def service_title(service: str) -> str:
    """A short name for *service*; its own where we know no better."""
    return "Any service" if service == "*" else words.title if (words := _SERVICES.get(service)) else service


def wish(service: str, argument: str, count: int, size: int) -> str:
    """What a domain wants, after “wants to”: of *count* things of *size* bytes in all, 0 for unknown each."""
    if words := _SERVICES.get(service):
        return words.wish(argument, _things(count, size))
    return f"use the service “{service}” of another domain"


def _things(count: int, size: int) -> str:
    things = f"{count} files" if count > 1 else "a file" if count else "files"
    return f"{things} ({format_size(size)})" if size else things
