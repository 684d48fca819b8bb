"""Files of a domain that has qemu-guest-agent and nothing of ours: listed, read and written in small pieces.

The guest's own shell does what the agent has no command for, as its ordinary user. Names go in and out by the streams
of those scripts, since the agent's JSON takes no name that is not UTF-8. What the guest says is bounded and checked.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from qubes_manager.backend.guests.guest_agent import CHUNK, Bounds, GuestAgent
from qubes_manager.core.crossing.copying import Landed, Member, Room
from qubes_manager.core.crossing.file_messages import INCOMING, Clash
from qubes_manager.core.crossing.listing import MAX_ENTRIES, MAX_PATH, Entry, FileKind, Listing
from qubes_manager.core.errors import GuestError, NotFound, QubesManagerError, Refused
from qubes_manager.core.text import one_cell, one_line

# One command of the agent for each 64 KiB, and a few for each file: what has more of them wants our tools.
MAX_FILES = 5000
# Bytes that a script says: MAX_FILES paths, of which few are long.
_MAX_ANSWER = 4 << 20
_BOUNDS = Bounds(_MAX_ANSWER, 120)
_MISSING = 3
# Characters of three numbers.
_LONGEST_LINE = 80
# Files that are made at once for the agent to write to.
_BATCH = 64

# The path comes by standard input; a line's end that the shell would take from it is kept by the “x”.
_READ_PATH = 'p=$(cat; printf x); p=${p%x}; [ -z "$p" ] || cd -- "$p" 2>/dev/null || exit 3'
# Answers: the folder, NUL, its blocks, those that are free, and their size in a line; of each entry its kind and name,
# NUL; NUL; and of each a line of size and time, in the same order. A link is told as what it leads to, if it is there.
_LIST = f"""{_READ_PATH}
printf '%s\\0' "$(pwd -P)"
stat -f -c '%b %a %S' . 2>/dev/null || echo 0 0 0
n=0
for f in * .[!.]* ..?*; do
  if [ -d "$f" ]; then k=d; elif [ -f "$f" ]; then k=f; elif [ -e "$f" ]; then k=o; else continue; fi
  [ $n -lt {MAX_ENTRIES} ] || {{ printf 'more\\0'; break; }}
  n=$((n + 1))
  printf '%s%s\\0' $k "$f"
done
printf '\\0'
n=0
for f in * .[!.]* ..?*; do
  [ -e "$f" ] && [ $n -lt {MAX_ENTRIES} ] || continue
  n=$((n + 1))
  printf './%s\\0' "$f"
done | xargs -0 -r stat -L -c '%s %Y' --
"""
# Answers the paths of all that is in what comes by standard input, NUL after each; NUL; and a line of mode, size and
# time for each. Links are passed over, and nothing is left out without a word: what cannot be read ends it.
_WALK = """
t=$(mktemp) && trap 'rm -f "$t"' EXIT && xargs -0 sh -c '
  for p; do [ -d "$p" ] || [ -f "$p" ] || { echo "no such file or folder" >&2; exit 1; }; done
  exec find "$@" "(" -type d -o -type f ")" -print0' sh >"$t" || exit 4
cat "$t"
printf '\\0'
xargs -0 -r stat -c '%f %s %Y' -- <"$t"
"""
# The folder in which a copy comes to be, beside where it goes; answers its path and the bytes that are free there. What
# was left by who was killed goes after two days.
_BEGIN = rf"""
s=$(cat); d=$HOME/{INCOMING}/$s
umask 077
mkdir -p "$d" && find "$d" -maxdepth 1 -name '.copying-*' -mtime +1 -exec rm -rf {{}} +
t=$(mktemp -d "$d/.copying-XXXXXX") && mkdir "$t/tree" && cd "$t" || exit 4
printf '%s\0' "$t"
stat -f -c '%b %a %S' . 2>/dev/null || echo 0 0 0
"""
# A file of the user's own for each number up to the one that is asked for, for the agent to write to.
_PREPARE = 'cd -- "$1" && i=$2; while [ $i -lt $3 ]; do : >"$i" || exit 4; i=$((i + 1)); done'
# Digests of the files, by their numbers, where the guest has the tool.
_DIGEST = """
cd -- "$1" || exit 4
command -v sha256sum >/dev/null || exit 0
i=0; while [ $i -lt $2 ]; do echo $i; i=$((i + 1)); done | xargs -r sha256sum --
"""
# Puts the files into their tree: kind, number or nothing, mode, and path of each come by standard input.
_PLACE = r"""
cd -- "$1" || exit 4
xargs -0 -n 400 sh -c 'while [ $# -ge 4 ]; do
  if [ $1 = d ]; then mkdir -p -- "tree/$4"; else mv -f -- "$2" "tree/$4" && chmod $3 "tree/$4"; fi || exit 4
  shift 4
done' sh
"""
# Moves what is whole to where it goes; $2 says what to do about a name that is taken. Answers name and new name.
_FINISH = r"""
cd -- "$1/tree" || exit 4
for f in * .[!.]* ..?*; do
  [ -e "$f" ] || continue
  n=$f
  if [ -e "../../$f" ] || [ -L "../../$f" ]; then case $2 in
    skip) printf '%s\0\0' "$f"; continue;;
    replace) mv -- "../../$f" "../old-$f" || exit 4;;
    *)
      case $f in
        ?*.*) base=${f%.*}; end=.${f##*.};;
        *) base=$f; end=;;
      esac
      i=2
      while [ -e "../../$base ($i)$end" ] || [ -L "../../$base ($i)$end" ]; do i=$((i + 1)); done
      n="$base ($i)$end";;
  esac; fi
  mv -- "./$f" "../../$n" || exit 4
  printf '%s\0%s\0' "$f" "$n"
done
cd / && rm -rf -- "$1"
"""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a copy will be: its members, whose bytes are read as they are asked for, and how many those are."""

    members: tuple[Member, ...]
    size: int


class AgentFiles:
    """The files of one domain, through its agent. *name* is the domain's."""

    def __init__(self, agent: GuestAgent, name: str) -> None:
        self._agent = agent
        self._name = name

    async def listing(self, path: str) -> Listing:
        """What a folder holds; *path* empty is the user's home. Raises NotFound, GuestError."""
        answer = await self.run(_LIST, data=os.fsencode(path))
        head, _, rest = answer.partition(b"\0")
        free, _, rest = rest.partition(b"\n")
        is_cut = b"\0more\0\0" in b"\0" + rest[: rest.find(b"\0\0") + 2]
        told, stats = self._paired(rest.replace(b"\0more\0\0", b"\0\0", 1) if is_cut else rest)
        entries = [self._entry(name, line) for name, line in zip(told, stats, strict=True)]
        return Listing(os.fsdecode(head)[:MAX_PATH], self._free(free) or 0, tuple(entries), is_cut)

    async def walk(self, paths: Sequence[str]) -> Survey:
        """All files and folders below *paths*, in the order in which they can be made; links are left out.

        Raises NotFound, Refused when there are too many, GuestError.
        """
        answer = await self.run(_WALK, data=b"".join(os.fsencode(path) + b"\0" for path in paths))
        found_paths, stats = self._paired(answer)
        found = [self._found(os.fsdecode(raw), line, paths) for raw, line in zip(found_paths, stats, strict=True)]
        if len(found) > MAX_FILES:
            raise Refused(
                f"{len(found)} files are too many to copy through the agent of “{self._name}”: at most {MAX_FILES} "
                "at a time, or pack them in one file there"
            )
        return Survey(tuple(found), sum(member.size for member in found))

    async def _read(self, path: str, left: int) -> AsyncIterator[bytes]:
        """The bytes of a file, exactly as many as it had when it was found; raises GuestError."""
        if any("\ud800" <= char <= "\udfff" for char in path):
            raise GuestError(f"the agent of “{self._name}” cannot open {one_cell(path)}: its name is no UTF-8")
        async with self._agent.opened(path, "r") as handle:
            while left:
                piece = await self._agent.read_piece(handle, min(left, CHUNK))
                if not piece:
                    raise GuestError(f"“{one_cell(path)}” in “{self._name}” became shorter while it was copied")
                left -= len(piece)
                yield piece

    async def receive(self, source: str) -> "AgentReceiver":
        """Begin a copy that goes to ``~/QubesIncoming/SOURCE`` of the guest; raises GuestError, Refused."""
        answer = await self.run(_BEGIN, data=source.encode())
        head, _, free = answer.partition(b"\0")
        folder = os.fsdecode(head)
        if not folder.startswith("/") or not folder.isprintable():
            raise self._nonsense()
        return AgentReceiver(self, self._agent, folder, self._free(free))

    async def run(self, script: str, *words: str, data: bytes = b"") -> bytes:
        """Run one of our scripts as the guest's user and return what it says; raises NotFound, GuestError."""
        out, err = bytearray(), bytearray()
        line = " ".join(["sh -c", *(_quoted(word) for word in (script, "sh", *words))])
        code = await self._agent.run(line, data=data, out=out.extend, err=err.extend, bounds=_BOUNDS)
        if code == _MISSING:
            raise NotFound(f"“{self._name}” has no such file or folder, or does not let its user in")
        if code:
            said = one_line(err.decode("utf-8", "replace"), 300)
            raise GuestError(f"“{self._name}” could not do it: {said or f'its shell ended with code {code}'}")
        return bytes(out)

    def _paired(self, answer: bytes) -> tuple[list[bytes], list[bytes]]:
        """The names and the lines that belong to them, as many of each."""
        names, _, rest = (b"\0" + answer).partition(b"\0\0")
        told, lines = [name for name in names.split(b"\0") if name], rest.splitlines()
        if len(lines) != len(told):
            raise GuestError(f"the files of “{self._name}” change while they are listed; try again")
        return told, lines

    def _found(self, path: str, line: bytes, tops: Sequence[str]) -> Member:
        """A file that was found below one of *tops*."""
        mode, size, changed = self._numbers(line, 16, 10, 10)
        for top in tops:
            stem = top.rstrip("/")
            if path == stem or path.startswith(f"{stem}/"):
                name = path[stem.rfind("/") + 1 :]
                break
        else:
            raise self._nonsense()
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise self._nonsense()
        is_folder = stat.S_ISDIR(mode)
        mode &= 0o777
        if is_folder:
            return Member(name, True, 0, mode, changed)
        return Member(name, False, size, mode, changed, self._read(path, size))

    def _entry(self, told: bytes, line: bytes) -> Entry:
        size, changed = self._numbers(line, 10, 10)
        kind = {b"d": FileKind.FOLDER, b"f": FileKind.FILE}.get(told[:1], FileKind.OTHER)
        name = os.fsdecode(told[1:])
        if not name or "/" in name or len(told) > 256:
            raise self._nonsense()
        return Entry(name, kind, size, changed)

    def _free(self, line: bytes) -> int | None:
        """Bytes: of so many blocks so many are free, of that size; None for file systems that do not tell."""
        total, free, size = self._numbers(line, 10, 10, 10)
        return min(free * size, 1 << 53) if total else None

    def _numbers(self, line: bytes, *bases: int) -> list[int]:
        words = line[:_LONGEST_LINE].split()
        try:
            numbers = [int(word, base) for word, base in zip(words, bases, strict=True)]
        except ValueError:
            raise self._nonsense() from None
        return [min(max(number, 0), 1 << 53) for number in numbers]

    def _nonsense(self) -> GuestError:
        return GuestError(f"what “{self._name}” tells of its files makes no sense")


class AgentReceiver:
    """A copy on its way into a guest: nothing of it can be seen where it goes until ``finish``."""

    def __init__(self, files: AgentFiles, agent: GuestAgent, folder: str, free: int | None) -> None:
        self._files = files
        self._agent = agent
        self._folder = folder
        self._free = free
        self._digests: list[str] = []
        self._prepared = 0
        # Kind, number or nothing, mode, and path of each.
        self._plan: list[tuple[str, str, str, str]] = []

    async def room(self) -> Room:
        """What it has said that is free."""
        return Room(self._free)

    async def add(self, member: Member) -> None:
        """Take a file or a folder; raises GuestError, Refused."""
        if len(self._plan) >= MAX_FILES:
            raise Refused(f"more than {MAX_FILES} files are too many to copy through a guest's agent at a time")
        if member.is_folder:
            self._plan.append(("d", "-", "-", member.name))
            return
        number = len(self._digests)
        if number == self._prepared:
            self._prepared += _BATCH
            await self._files.run(_PREPARE, self._folder, str(number), str(self._prepared))
        seen = hashlib.sha256()
        async with self._agent.opened(f"{self._folder}/{number}", "w") as handle:
            async for piece in member.pieces:
                seen.update(piece)
                for start in range(0, len(piece), CHUNK):
                    await self._agent.write_piece(handle, piece[start : start + CHUNK])
        self._digests.append(seen.hexdigest())
        self._plan.append(("f", str(number), f"{member.mode & 0o777 | 0o600:o}", member.name))

    async def finish(self, clash: Clash) -> Landed:
        """Look whether all has arrived and move it to where it goes; raises GuestError."""
        told = (await self._files.run(_DIGEST, self._folder, str(len(self._digests)))).split(b"\n")
        digests = [line[:64].decode("ascii", "replace") for line in told if line]
        if digests and digests != self._digests:
            raise GuestError("what has arrived is not what was sent; nothing of it was kept")
        words = (os.fsencode(word) + b"\0" for told in self._plan for word in told)
        await self._files.run(_PLACE, self._folder, data=b"".join(words))
        placed = (await self._files.run(_FINISH, self._folder, clash)).split(b"\0")
        names = {os.fsdecode(old): os.fsdecode(new) for old, new in zip(placed[::2], placed[1::2], strict=False)}
        return Landed(names, bool(digests) or not self._digests)

    async def drop(self) -> None:
        """Take away what has come so far."""
        with contextlib.suppress(QubesManagerError):
            await self._files.run('rm -rf -- "$1"', self._folder)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
