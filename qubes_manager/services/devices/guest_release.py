"""Having a guest let go of a disk before that is taken away: what it has mounted, and what it has not written yet."""

import asyncio
import re

from qubes_manager.backend.guests.guest_agent import AgentSilent, Bounds, GuestAgent
from qubes_manager.core.domain import Domain, DomainState
from qubes_manager.core.errors import GuestError, Refused, TimedOut
from qubes_manager.core.events import DomainEvent, DomainEventKind, Event
from qubes_manager.core.hardware import Disk
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.text import one_line
from qubes_manager.services.hosts.hosts import Hosts

# Seconds: for an agent that may not be there, and for what a slow stick has still to be given.
_SHORT, _WRITING = 3.0, 1800.0
_MOST_WORDS = 4096
# What the script below ends with.
_BUSY, _NOT_SEEN = 3, 4
_ELSE = "try again then, or detach it by force, by which what is not written is lost"
# What stands in the script as a word of the shell.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# Runs in the guest, by its own shell. The disk is known by the serial number that it was attached with. What is mounted
# of it, of its partitions, or of what is made of these is unmounted, swap given up, encrypted volumes closed; what
# stays in use is named: a mount in another namespace, a file system of several disks, a volume of LVM, a loop device.
_SCRIPT = r"""
wanted=__SERIAL__
seen=
is_it() {
  [ "$(cat "$1/serial" 2>/dev/null)" = "$wanted" ] && return 0
  [ "$(tail -c +5 "$1/device/vpd_pg80" 2>/dev/null | tr -d '\000')" = "$wanted" ] && return 0
  above=$(readlink -f "$1/device")
  while [ -n "$above" ] && [ "$above" != /sys ]; do
    [ "$(cat "$above/serial" 2>/dev/null)" = "$wanted" ] && return 0
    above=${above%/*}
  done
  return 1
}
busy() { echo "$1"; exit 3; }
parts() { for part in "$1" "$1"/*; do [ -e "$part/dev" ] && echo "$part"; done; }
nodes() {
  echo "/dev/${1##*/}"
  if [ -e "$1/dm/name" ]; then echo "/dev/mapper/$(cat "$1/dm/name")"; fi
}
let_go() {
  for holder in "$1"/holders/*; do
    [ -e "$holder" ] || continue
    above=/sys/block/${holder##*/}
    let_go "$above"
    name=$(cat "$above/dm/name" 2>/dev/null)
    [ -n "$name" ] && { cryptsetup close "$name" || dmsetup remove "$name"; } >/dev/null 2>&1
    [ ! -e "$holder" ] || busy "${name:-${holder##*/}}"
  done
  for node in $(nodes "$1"); do
    while place=$(grep "^$node " /proc/mounts | tail -n 1 | cut -d ' ' -f 2) && [ -n "$place" ]; do
      umount "$node" 2>/dev/null || umount "$place" 2>/dev/null || busy "$place"
    done
    if grep -qs "^$node " /proc/swaps; then swapoff "$node" 2>/dev/null || busy "swap on $node"; fi
    for file in /sys/block/loop*/loop/backing_file; do
      [ "$(cat "$file" 2>/dev/null)" != "$node" ] || busy "a loop device on $node"
    done
  done
  for file in /sys/fs/btrfs/*/devices/"${1##*/}"; do [ ! -e "$file" ] || busy "a file system of several disks"; done
  number=$(cat "$1/dev")
  other=$(cat /proc/[0-9]*/mountinfo 2>/dev/null | grep -m 1 "^[0-9]* [0-9]* $number ")
  [ -z "$other" ] || busy "$(echo "$other" | cut -d ' ' -f 5)"
}
for disk in /sys/block/*; do
  is_it "$disk" || continue
  seen=1
  for one in $(parts "$disk"); do let_go "$one"; done
done
[ -n "$seen" ] || exit 4
sync
"""


class GuestRelease:
    """Asks guests, by their agents."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts

    async def release(self, domain: Domain, disk: Disk, progress: Progress = SILENT) -> str:
        """Have a running guest write and unmount all that is on *disk*; returns why it could not be asked, if so.

        Raises Refused where something in the guest still uses it, naming the place, or where it could be asked later.
        """
        if domain.state is not DomainState.RUNNING:
            raise Refused(
                f"“{domain.name}” stands still, and cannot write what it has in memory: let it go on; {_ELSE}"
            )
        if not _PLAIN.fullmatch(disk.serial):
            return "its guest cannot tell it from others"
        progress.step(f"“{domain.name}” writes what it has in memory")
        connection = self._hosts.connection(domain.key.connection)
        said: list[bytes] = []
        with connection.listen() as events:
            asking = asyncio.ensure_future(_ask(GuestAgent(connection, domain), disk, said))
            ending = asyncio.ensure_future(_until_stopped(events, domain.key.uuid))
            try:
                await asyncio.wait({asking, ending}, return_when=asyncio.FIRST_COMPLETED)
                if not asking.done():
                    return f"“{domain.name}” has ended"
                code = await asking
            except AgentSilent as error:
                if domain.agent:
                    raise Refused(
                        f"“{domain.name}” does not answer just now: wait until it does; {_ELSE}", str(error)
                    ) from error
                return f"“{domain.name}” has no agent that could be asked"
            except (GuestError, TimedOut) as error:
                return str(error)
            finally:
                for task in (asking, ending):
                    task.cancel()
                await asyncio.gather(asking, ending, return_exceptions=True)
        if code == _BUSY:
            place = one_line(b"".join(said).decode("utf-8", "replace"), 120)
            raise Refused(
                f"“{domain.name}” still uses {disk.target}, at {place}: close what is open there and try again, or "
                "detach it by force, by which what is not written is lost"
            )
        if code == _NOT_SEEN:
            return f"“{domain.name}” does not see it as a disk of its own"
        return "" if code == 0 else f"“{domain.name}” did not unmount it (code {code})"


async def _ask(agent: GuestAgent, disk: Disk, said: list[bytes]) -> int:
    await agent.wait(_SHORT)
    script = _SCRIPT.replace("__SERIAL__", disk.serial)
    return await agent.run(script, user="root", out=said.append, bounds=Bounds(_MOST_WORDS, _WRITING))


async def _until_stopped(events: "asyncio.Queue[Event]", uuid: str) -> None:
    while True:
        match await events.get():
            case DomainEvent(uuid=which, kind=DomainEventKind.STOPPED) if which == uuid:
                return
