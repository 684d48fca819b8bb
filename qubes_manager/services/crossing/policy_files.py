"""The user's policy: files in a folder of his own, before the one that comes with the program."""

import contextlib
import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from qubes_manager.backend.user.domain_lock import file_lock
from qubes_manager.backend.user.small_files import write_whole
from qubes_manager.core.errors import BadInput, NotFound, Overtaken, Refused
from qubes_manager.core.policy.evaluation import Policy
from qubes_manager.core.policy.parser import LEGACY_FOLDER, Unreadable, read_policy
from qubes_manager.core.policy.rules import Action, Fault

DEFAULT_FILE = "90-default.policy"
SUFFIX, INCLUDE = ".policy", "include/"
# Bytes of one file, of all that is read, and files of a folder.
MAX_FILE, MAX_ALL, MAX_FILES = 256 << 10, 4 << 20, 500
# What stands for a file's content where it must not be there, and where it may be anything.
NEW, ANY = "new", "any"
# A file that was written in the moment before it was read may be written again without another time of its own.
_SETTLED_SECONDS = 2.0
_POLICY_NAME = re.compile(r"[a-z0-9_-][a-z0-9_.-]*", re.ASCII)
_INCLUDE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.+-]*", re.ASCII)
log = logging.getLogger(__name__)
_NAMES = "use lower-case letters, digits, “-”, “_” and “.”"


class BrokenPolicy(Refused):
    """A change that would leave a policy which cannot be read; *faults* says all that is wrong."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"{faults[0]}{more}; nothing was changed", "\n".join(map(str, faults)))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class PolicyText:
    """What a file says, and the token that a change of just this is made with."""

    text: str
    token: str


class PolicyFiles:
    """Reads and changes the policy. All methods block.

    Files are called as in Qubes: ``30-user`` is ``30-user.policy``, ``include/NAME`` is in the folder of files that
    others take in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cached: tuple[dict[Path, object], float, Policy] | None = None

    def load(self) -> Policy:
        """The policy in force, read again when a file has changed; its ``faults`` say why it is broken.

        Of a broken one only what the user's files deny holds, besides the default policy, and services that broken
        lines seem to be about are denied.
        """
        if self._cached:
            seen, newest, policy = self._cached
            if newest < time.time() - _SETTLED_SECONDS and seen == {path: _mark(path) for path in seen}:
                return policy
        reader = _FolderReader(self.folder, {})
        policy = _policy(reader)
        if policy.faults and (self._cached is None or self._cached[2].faults != policy.faults):
            log.warning("the policy in %s is broken: %s", self.folder, policy.faults[0])
        self._cached = reader.seen, reader.newest, policy
        return policy

    def check(self, name: str, text: str | None) -> tuple[Fault, ...]:
        """What would be wrong with the policy if the file said *text* (None: were not there). Raises BadInput."""
        return _policy(_FolderReader(self.folder, {self._path(name): text})).faults

    def names(self, *, include: bool = False) -> list[str]:
        """The names of the user's files, in their order; with *include* of those that others take in."""
        folder = self.folder / INCLUDE if include else self.folder
        suffix = "" if include else SUFFIX
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            files = sorted(path.name for path in folder.iterdir() if path.is_file())
            return [name.removesuffix(suffix) for name in files if name.endswith(suffix) and name[0] != "."]
        return []

    def read(self, name: str) -> PolicyText:
        """What a file says; raises NotFound, BadInput, Refused."""
        path = self._path(name)
        data = self._data(path)
        if data is None:
            raise NotFound(f"there is no policy file {name!r}; qubes-policy --list shows those that there are")
        try:
            return PolicyText(data.decode(), _token(data))
        except UnicodeDecodeError:
            raise Refused(f"{path} is no text in UTF-8: mend it or remove it") from None

    def replace(self, name: str, text: str, token: str = ANY) -> str:
        """Let a file say *text*; returns its new token.

        *token* is the one it was read with, NEW when it must not be there, ANY to write over whatever is. Raises
        Overtaken, BrokenPolicy, BadInput, Refused, OSError.
        """
        data = text.encode()
        if len(data) > MAX_FILE:
            raise Refused(f"{name} would have {len(data):,} bytes; a policy file has at most {MAX_FILE:,}")
        with self._changing(name, text, token) as path:
            # The file may be a link into a folder that the user keeps elsewhere.
            write_whole(path.resolve(), data, durable=True)
        return _token(data)

    def remove(self, name: str, token: str = ANY) -> None:
        """Take a file away; raises NotFound, Overtaken, BrokenPolicy, BadInput, Refused, OSError."""
        with self._changing(name, None, token) as path:
            path.unlink()

    def files_about(self, service: str) -> list[str]:
        """The files that have rules about a service, in the order in which they hold."""
        return list(dict.fromkeys(rule.file for rule in self.load().rules if rule.service in (None, service)))

    @contextlib.contextmanager
    def _changing(self, name: str, text: str | None, token: str) -> Iterator[Path]:
        path = self._path(name)
        with file_lock(self.folder):
            data = self._data(path)
            if data is None and text is None:
                raise NotFound(f"there is no policy file {name!r}")
            if token == NEW and data is not None:
                raise Overtaken(f"there is a policy file {name!r} already: read it, and change what it says")
            if token not in (NEW, ANY) and (data is None or _token(data) != token):
                raise Overtaken(f"somebody else has changed {name!r} since it was read: read it again")
            before = _policy(_FolderReader(self.folder, {})).faults
            # A set that is broken elsewhere can be mended one file at a time.
            mine = path.relative_to(self.folder).as_posix()
            if faults := [f for f in self.check(name, text) if f.file == mine or f not in before]:
                raise BrokenPolicy(faults)
            yield path

    def _path(self, name: str) -> Path:
        return self.folder / check_policy_name(name)

    def _data(self, path: Path) -> bytes | None:
        try:
            return _read(path)
        except FileNotFoundError:
            return None
        except (OSError, Unreadable) as error:
            raise Refused(f"{path} cannot be read: {_why(error)}") from error


def check_policy_name(name: str) -> str:
    """Return the path, within the folder, of the file that is called *name*; raises BadInput."""
    is_include = name.startswith(INCLUDE)
    bare = name.removeprefix(INCLUDE) if is_include else name.removesuffix(SUFFIX)
    if not (_INCLUDE_NAME if is_include else _POLICY_NAME).fullmatch(bare) or len(bare) > 100:
        raise BadInput("name of a policy file", name[:80], _NAMES)
    return name if is_include else bare + SUFFIX


def default_text() -> str:
    """The policy that comes with the program."""
    return resources.files("qubes_manager").joinpath("policy", DEFAULT_FILE).read_text("utf-8")


def _policy(reader: "_FolderReader") -> Policy:
    built_in = read_policy([DEFAULT_FILE], _DefaultReader())
    if built_in.faults:
        raise Refused(f"the policy that comes with the program is broken: {built_in.faults[0]}")
    try:
        paths, odd = reader.policies(""), reader.odd
    except Unreadable as error:
        paths, odd = [], [Fault(str(reader.folder), 0, str(error))]
    own = read_policy(paths, reader)
    faults = [*odd, *own.faults]
    if not faults:
        return Policy([*own.rules, *built_in.rules])
    denying = [rule for rule in own.rules if rule.action is Action.DENY]
    return Policy([*denying, *own.doubtful, *built_in.rules], faults)


class _DefaultReader:
    def text(self, path: str) -> str:
        return default_text()

    def policies(self, folder: str) -> list[str]:
        return []

    def legacy(self) -> list[str]:
        return []


class _FolderReader:
    """Reads files below a folder; *changes* are what some of them are to say, None for what is not to be there.

    *seen* tells of all that was looked at, so that it can be seen whether it has changed since.
    """

    def __init__(self, folder: Path, changes: Mapping[Path, str | None]) -> None:
        self.folder = folder
        self.seen: dict[Path, object] = {}
        self.newest = 0.0
        self.odd: list[Fault] = []
        self._changes = changes
        self._bytes = 0

    def text(self, path: str) -> str:
        file = self.folder / path
        self._note(file)
        if file in self._changes:
            changed = self._changes[file]
            if changed is None:
                raise Unreadable(f"{path} is to be removed, and something includes it")
            return changed
        try:
            data = _read(file)
        except OSError as error:
            raise Unreadable(f"{path} cannot be read: {_why(error)}") from error
        self._bytes += len(data)
        if self._bytes > MAX_ALL:
            raise Unreadable(f"{path} is not read: the policy has more than {MAX_ALL:,} bytes in all")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Unreadable(f"{path} is no text in UTF-8: byte {error.start} is no character") from None

    def policies(self, folder: str) -> list[str]:
        place = self.folder / folder
        names = set(self._names(place, is_wanted=lambda name: name.endswith(SUFFIX) and not name.startswith(".")))
        names |= {path.name for path in self._changes if path.parent == place and path.suffix == SUFFIX}
        names -= {path.name for path, text in self._changes.items() if path.parent == place and text is None}
        good = sorted(name for name in names if _POLICY_NAME.fullmatch(name))
        for name in sorted(names - set(good)):
            reason = f"the file is not read, for its name: {_NAMES}; rename it, or take {SUFFIX} off its end"
            self.odd.append(Fault(f"{folder}/{name}".lstrip("/"), 0, reason))
        return [f"{folder}/{name}".lstrip("/") for name in good]

    def legacy(self) -> list[str]:
        place = self.folder / LEGACY_FOLDER
        if not place.is_dir():
            return []
        return self._names(place, is_wanted=lambda name: bool(_INCLUDE_NAME.fullmatch(name)))

    def _names(self, place: Path, *, is_wanted: Callable[[str], bool]) -> list[str]:
        self._note(place)
        try:
            names = [path.name for path in place.iterdir() if is_wanted(path.name) and path.is_file()]
        except FileNotFoundError:
            if place == self.folder:
                # Who has no policy of his own has the default one.
                return []
            raise Unreadable(f"there is no folder {place}") from None
        except OSError as error:
            raise Unreadable(f"the folder {place} cannot be read: {_why(error)}") from error
        if len(names) > MAX_FILES:
            raise Unreadable(f"the folder {place} has {len(names)} files; at most {MAX_FILES} are read")
        return names

    def _note(self, path: Path) -> None:
        self.seen[path] = _mark(path)
        with contextlib.suppress(OSError):
            self.newest = max(self.newest, path.stat().st_mtime, path.stat().st_ctime)


def _mark(path: Path) -> object:
    """What changes when a file or folder does; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read(path: Path) -> bytes:
    """The bytes of a regular file; raises OSError, Unreadable."""
    # A pipe would be waited for.
    if not path.is_file():
        raise Unreadable(f"{path} is no file") if path.exists() else FileNotFoundError(2, "there is no such file")
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise Unreadable(f"{path} is too large: a policy file has at most {MAX_FILE:,} bytes")
    return data


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _token(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
