"""qvm-sync-clock: sets this domain's clock by the host's, as root."""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from qubes_manager.core.crossing.services import GET_DATE
from qubes_manager.core.errors import Refused
from qubes_manager.guest.commands.calling import Caller, Command
from qubes_manager.guest.crossing.client import CallFailed, call

# Bytes of an answer that make sense, and seconds between two tries.
_MOST, _PAUSE = 100, 1.0


def main(
    arguments: Sequence[str] | None = None,
    caller: Caller = call,
    set_clock: Callable[[float], object] = lambda moment: time.clock_settime(time.CLOCK_REALTIME, moment),
) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        "qvm-sync-clock",
        description="Set the clock by the host's, if the policy allows it; for root.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--if-off", metavar="SECONDS", type=float, default=1.0, help="only if it is off by more than that (default: 1)"
    )
    parser.add_argument(
        "--wait", metavar="SECONDS", type=float, default=0.0, help="keep trying so long while nobody answers"
    )
    options = parser.parse_args(arguments)
    command = Command("qvm-sync-clock", caller)
    return command.run(lambda: _set(command, options.if_off, time.monotonic() + options.wait, set_clock))


def _set(command: Command, least: float, end: float, set_clock: Callable[[float], object]) -> int:
    if os.geteuid():
        raise Refused("only root may set the clock: sudo qvm-sync-clock")
    told = _ask(command, end)
    off = time.time() - told
    if abs(off) > least:
        set_clock(told)
        command.say(f"the clock was {abs(off):.0f} seconds {'fast' if off > 0 else 'slow'}, and is right now")
    return 0


def _ask(command: Command, end: float) -> float:
    """The moment that it is now by the host's word, which is a whole second."""
    while True:
        try:
            with command.call(GET_DATE) as conversation:
                conversation.finish()
                answer = b""
                while len(answer) <= _MOST and (data := conversation.read(_MOST)):
                    answer += data
            break
        except CallFailed:
            if time.monotonic() >= end:
                raise
            time.sleep(_PAUSE)
    try:
        moment = datetime.fromisoformat(answer.decode("ascii").strip())
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Refused(f"the host says what is no date: {answer[:40]!r}")
    return moment.timestamp() + 0.5
