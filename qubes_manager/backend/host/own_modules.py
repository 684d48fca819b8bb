"""Modules of ours as files, for programs that run elsewhere: in guests, and beside QEMU."""

import re
from collections.abc import Collection, Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable

_IMPORT = re.compile(rb"^ *(?:from|import) (qubes_manager[\w.]*)(?: import (\([^)]*\)|.*))?$", re.MULTILINE)
_FOR_CHECKERS = re.compile(rb"^if TYPE_CHECKING:\n(?:    .*\n|\n)+", re.MULTILINE)


def modules_of(part: str, but: Collection[str] = ()) -> Mapping[str, bytes]:
    """Return the modules of a package of ours, and all that they import of ours, by their places; *but* are folders."""
    package = resources.files("qubes_manager")
    found: dict[str, bytes] = {}
    waiting, seen = [f"{part}/{place}" for place in _python_files(package / part, but)], set[str]()
    while waiting:
        place = waiting.pop()
        if f"qubes_manager/{place}" in found:
            continue
        data = (package / place).read_bytes()
        found[f"qubes_manager/{place}"] = data
        names = set(_imported(data)) - seen
        seen |= names
        waiting += [needed for name in names for needed in _places(package, name)]
    return found


def _python_files(folder: Traversable, but: Collection[str], prefix: str = "") -> Iterator[str]:
    for entry in folder.iterdir():
        place = f"{prefix}{entry.name}"
        if entry.is_dir() and place not in but:
            yield from _python_files(entry, but, f"{place}/")
        elif entry.name.endswith(".py"):
            yield place


def _imported(source: bytes) -> Iterator[str]:
    """Names of ours that a module imports; some are no modules but what is in them."""
    # The compiler's own reader takes twenty times as long, and the window asks for the digest of guests' tools.
    for match in _IMPORT.finditer(_FOR_CHECKERS.sub(b"", source)):
        module, names = match[1].decode(), (match[2] or b"").decode()
        yield module
        yield from (f"{module}.{name}" for name in re.findall(r"\w+", names))


def _places(package: Traversable, name: str) -> Iterator[str]:
    """The module of that name, if it is one of ours, and the packages that it is in."""
    _top, *parts = name.split(".")
    for count in range(len(parts) + 1):
        path = "/".join(parts[:count])
        yield from (
            place.removeprefix("/")
            for place in (f"{path}.py", f"{path}/__init__.py")
            if package.joinpath(place.removeprefix("/")).is_file()
        )
