"""Moves between two real guests that stand still, each at another step, and a file that is open in a disposable.

One is asked about, one waits for its target to start, one is offered and not taken yet, the bytes of one go, one is
stored and its sender knows no end yet, one is in the middle of deleting. What holds them is what a user could have
made: pipes in the place of files, a service of his own, a folder that he may not write to.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from qubes_manager.backend.guests.guest_tools import python_folder
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import DomainKey, DomainState
from qubes_manager.core.errors import QubesManagerError
from tests.asked_user import AskedUser
from tests.integration.conftest import World
from tests.integration.disposables import layers
from tests.integration.test_crossing_calls import Brokers, run_in

# Unusual names need another leave, and have a service of their own there.
POLICY = """
qubes.Filecopy +allow-all-names sender late ask
qubes.Filecopy * sender @default allow target=receiver
qubes.OpenInVM * sender @dispvm allow target=@dispvm:opener
* * @anyvm @anyvm allow
"""
TITLE = "“sender” asks"
# A hole, which takes no memory at the sender's: too much to be through with before it is killed.
LARGE = 100_000_000
ODD = "\x01"
# What is moved, by its size.
FILES: Mapping[str, Mapping[str, int]] = {
    "asked": {f"asked{ODD}/one": 4},
    "starting": {"starting/one": 4},
    "offered": {"offered/one": 4},
    "moving": {"moving/one": 4, "moving/large": LARGE},
    "stored": {f"stored{ODD}/one": 4},
    "deleting": {"first": 4, "locked/one": 4, "second": 4},
}
# Runs a command, and keeps what it says and how it ends: NAME SAID COMMAND…
BEGIN = """
name=$1 said=$2; shift 2
line='"$@"; echo $? >/tmp/new.'$name'; mv /tmp/new.'$name' /tmp/code.'$name
setsid sh -c "$line" sh "$@" >/dev/null 2>>$said </dev/null &
"""
# In the place of a service for unusual names: its caller does not know that it has ended.
HELD = f"""
python3 /{python_folder()}/qubes_manager/guest/crossing/serve.py filecopy "$@"
code=$?
touch /tmp/stored.now
cat /tmp/stored.pipe
exit $code
"""
# In the place of the service that opens files: an editor that changes them, and is closed when the test wants it.
EDITOR = f"""#!/usr/bin/python3
import os, pathlib, sys, time
sys.path.insert(0, "/{python_folder()}")
os.environ["TMPDIR"] = "/tmp"
from qubes_manager.guest.services import open_in_vm
class Editor:
    has_seen_window = True
    def __init__(self, own_bus):
        self.watch = self
    def __enter__(self):
        return self
    def __exit__(self, *_error):
        pass
    def open(self, paths):
        for path in paths:
            with open(path, "a") as file:
                file.write("edited\\n")
    def wait_for_end(self):
        pathlib.Path("/tmp/opened.now").touch()
        while not pathlib.Path("/tmp/close").exists():
            time.sleep(0.1)
open_in_vm.Opening = Editor
sys.exit(open_in_vm.main(sys.argv[1:]))
"""
# A pipe that is full: who says anything there stands still, until it is read.
FULL = """
import os, pathlib, time
full, held = os.open("/tmp/full", os.O_RDWR | os.O_NONBLOCK), 0
try:
    while True:
        held += os.write(full, bytes(4096))
except BlockingIOError:
    pathlib.Path("/tmp/full.now").touch()
while not pathlib.Path("/tmp/full.go").exists():
    time.sleep(0.1)
with open("/tmp/said.deleting", "ab", 0) as said:
    while True:
        try:
            said.write(os.read(full, 65536).lstrip(bytes(1)))
        except BlockingIOError:
            time.sleep(0.1)
"""
OPEN = """
rm -f /tmp/said.* /tmp/code.*
echo one >notes
sh /tmp/begin edited /tmp/said.edited qvm-open-in-dvm notes
"""
LAY_OUT = f"""
rm -f /tmp/full /tmp/full.now /tmp/full.go; mkfifo /tmp/full
setsid python3 /tmp/full.py >/dev/null 2>&1 </dev/null &
odd=$(printf '\\001')
mkdir asked$odd starting offered moving stored$odd locked
for place in asked$odd/one starting/one offered/one moving/one stored$odd/one first locked/one second; do
  echo one >$place
done
truncate -s {LARGE} moving/large
chmod 555 locked
sh /tmp/begin offered /tmp/said.offered qvm-move-to-vm receiver offered
sh /tmp/begin asked /tmp/said.asked qvm-move-to-vm late asked$odd
sh /tmp/begin starting /tmp/said.starting qvm-move-to-vm late starting
until [ -e /tmp/full.now ]; do sleep 0.1; done
"""
PREPARE = """
rm -rf /tmp/stored.now /tmp/stored.pipe; mkfifo /tmp/stored.pipe
mkdir -p .config/gtk-3.0; rm -f .config/gtk-3.0/*; mkfifo .config/gtk-3.0/bookmarks
"""
GO_ON = """
sh /tmp/begin deleting /tmp/full qvm-move first locked second
while [ -e first ]; do sleep 0.1; done
sh /tmp/begin stored /tmp/said.stored qvm-move-to-vm receiver stored*
sh /tmp/begin moving /tmp/said.moving qvm-move-to-vm receiver moving
"""
ARE_THERE = """
until [ -e /tmp/stored.now ]; do sleep 0.1; done
until find QubesIncoming/sender/.incoming-* -size +1000k 2>/dev/null | grep -q .; do sleep 0.1; done
"""
LET_GO = """python3 -c '
import os, pathlib, time
os.close(os.open(pathlib.Path.home() / ".config/gtk-3.0/bookmarks", os.O_RDWR | os.O_NONBLOCK))
pipe = os.open("/tmp/stored.pipe", os.O_RDWR | os.O_NONBLOCK)
'; rm -f .config/gtk-3.0/bookmarks; rm -f /tmp/stored.pipe"""
ENDED = f"""
touch /tmp/full.go
for name in edited {" ".join(FILES)}; do until [ -e /tmp/code.$name ]; do sleep 0.1; done; done
"""
# Kills all programs whose files are called so.
KILL = """
import os, pathlib, signal, sys
for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    try:
        words = path.read_bytes().split(bytes(1))
    except OSError:
        continue
    if len(words) > 1 and words[1].endswith(tuple(map(str.encode, sys.argv[1:]))):
        os.kill(int(path.parent.name), signal.SIGKILL)
"""
SERVICE = "/etc/qubes-rpc/qubes.Filecopy+allow-all-names"
NAMES = ("sender", "receiver", "late")
# Files by their sizes; what nobody sees is left out.
TREE = "find . -type f ! -path '*/.*' -exec stat -c '%s %n' {} +"


@dataclass(frozen=True)
class Outcome:
    """How all ended: exit codes and what was said by name, and what users see at the sender's and at the receiver's."""

    codes: Mapping[str, int]
    said: Mapping[str, str]
    here: Mapping[str, int]
    there: Mapping[str, int]

    def check(self, *, forgot: bool = False) -> None:
        """See ``_check_moves``; and of what was edited there is the old one, or the new one with the old one beside."""
        assert self.codes["moving"], "its bytes still went"
        self._check_moves(forgot)
        notes = {path: size for path, size in self.here.items() if path.startswith("notes")}
        assert notes == ({"notes": 4} if self.codes["edited"] else {"notes": 11, "notes~": 4})
        for name, code in self.codes.items():
            words = [line for line in self.said[name].splitlines() if "the policy still decides" not in line]
            assert words or not code, f"{name}: it is said why not"
            assert all(line.startswith("qvm-") or line == "Killed" for line in words), f"{name}: in plain words"

    def _check_moves(self, forgot: bool) -> None:
        """No file is lost, none is half there, and who did not get through says so; the receiver may have forgotten."""
        for name, files in FILES.items():
            left, came = [
                {path: size for path, size in seen.items() if path in files} for seen in (self.here, self.there)
            ]
            assert left.items() <= files.items(), "what is left is whole"
            assert came in ({}, files) or name == "deleting", "what has come is whole, and all of it"
            assert came.items() <= files.items()
            assert forgot or {**left, **came} == files, f"{name}: nothing is lost"
            if self.codes[name] and name != "deleting":
                assert left == files, f"{name}: what has not gone through is as before"


class Moves:
    """The two guests, and what moves from the one to the other."""

    def __init__(
        self, world: World, daemon: PrivateDaemon, brokers: Brokers, user: AskedUser, *keys: DomainKey
    ) -> None:
        self.world, self.daemon, self.brokers, self.user = world, daemon, brokers, user
        self.sender, self.receiver, self.late = keys

    async def begin(self) -> None:
        """Have each move stand at its step."""
        await self.here(OPEN)
        await self.world.until(self._disposables, "a disposable is made")
        await self._run(self.disposable(), "until [ -e /tmp/opened.now ]; do sleep 0.1; done")
        await self.there(PREPARE)
        await self.here(LAY_OUT)
        await self.there("until [ -d QubesIncoming ]; do sleep 0.1; done")
        await self.here(GO_ON)
        await self.user.sees(TITLE)
        await self.world.until(self._is_late_running, "the target that never answers runs")
        await self.there(ARE_THERE)

    async def end(self) -> Outcome:
        """Let go of all that is held, and wait until all has ended."""
        await self.there(LET_GO)
        if self._is_late_running():
            await self.world.lifecycle.kill(self.late)
        if await self.user.count(TITLE):
            await self.user.presses("Escape")
        for key in self._disposables():
            # It may be about to go, with the call that it is for.
            with suppress(QubesManagerError):
                await run_in(self.world, key, "touch /tmp/close")
        ended = (await self.here(f"{ENDED}{TREE}; grep -H . /tmp/code.* /tmp/said.*")).splitlines()
        came = await self.there(f"mkdir -p QubesIncoming/sender && cd QubesIncoming/sender && {TREE}")
        said = [line.removeprefix("/tmp/").partition(":") for line in ended if line.startswith("/tmp/")]
        return Outcome(
            {name.removeprefix("code."): int(code) for name, _, code in said if name.startswith("code.")},
            {
                name: "\n".join(text for place, _, text in said if place == f"said.{name}")
                for name in ("edited", *FILES)
            },
            _sizes(ended),
            _sizes(came.splitlines()),
        )

    async def can_copy(self) -> None:
        """The next copy goes through, and nothing of those before is left."""
        await self.here("echo two >again; qvm-copy-to-vm receiver again")
        # What has not come whole is taken away by who took it, or by the next if that was killed.
        gone = "while ls -d .incoming-* 2>/dev/null; do sleep 0.1; done"
        assert await self.there(f"cd QubesIncoming/sender; {gone}; cat again") == "two\n"
        await self.world.until(lambda: not self.brokers.link.transfers, "nothing crosses any more")
        await self.world.until(lambda: not (self._disposables() or layers(self.world)), "no disposable is left")

    def disposable(self) -> DomainKey:
        """The one that a file is open in."""
        [found] = self._disposables()
        return found

    def _disposables(self) -> list[DomainKey]:
        return [d.key for d in self.world.store.domains.values() if d.is_disposable]

    async def here(self, line: str) -> str:
        """Run a line at the sender's."""
        return await self._run(self.sender, line)

    async def there(self, line: str) -> str:
        """Run a line at the receiver's."""
        return await self._run(self.receiver, line)

    async def _run(self, key: DomainKey, line: str) -> str:
        said = await run_in(self.world, key, line)
        assert said.code == 0, said
        return said.out

    def _is_late_running(self) -> bool:
        return self.world.store.require(self.late).state is DomainState.RUNNING


def _sizes(lines: list[str]) -> dict[str, int]:
    """What TREE says, by path."""
    pairs = (line.partition(" ./") for line in lines if " ./" in line)
    return {path: int(size) for size, _, path in pairs}
