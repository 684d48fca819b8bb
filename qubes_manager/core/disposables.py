"""Names of disposables that nobody named, and which of a template's features they get."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from qubes_manager.core.domain import INTERNAL

# Numbers that a disposable's name may have, and seconds for which one is not used again: who reads a log, or a name in
# a question, is to think of the right one.
NUMBERS = 10_000
REST = 7 * 24 * 3600.0
# Features of a disposable template that say how many wait to be used, and how.
PRELOAD = "preload-dispvm"
PRELOAD_MAX = f"{PRELOAD}-max"
MOST_PRELOADED = 50
_NAME = re.compile(r"disp(0|[1-9][0-9]{0,3})", re.ASCII)


def disposable_name(number: int) -> str:
    """The name of the disposable of that number."""
    return f"disp{number}"


def disposable_number(name: str) -> int | None:
    """The number in a disposable's name; None for a name that somebody chose."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def choose_number(used: Mapping[int, float], taken: Collection[int], now: float, pick: Callable[[int], int]) -> int:
    """A number for a new disposable: of those that are not *taken* one that was not *used* within a week.

    *used* says when each was used last, in seconds, as *now* is; *pick* gets a count and returns an index below it.
    When all have been used lately it is the one whose use lies furthest back.
    """
    free = [n for n in range(NUMBERS) if n not in taken]
    rested = [n for n in free if not now - REST < used.get(n, -REST * 2) <= now]
    if rested:
        return rested[pick(len(rested))]
    return min(free, key=lambda n: used[n])


@dataclass(frozen=True, slots=True)
class PreloadRules:
    """How disposables are kept ready. *delay* is in seconds, below 0: when the last one is used; *threshold* in MiB."""

    default_maximum: int = 0
    delay: float = 3
    threshold: int = 0

    def maximum(self, features: Collection[tuple[str, str]], *, is_default: bool) -> int:
        """How many disposables of a template are kept ready; for the default template the general setting counts."""
        own = parse_count(dict(features).get(PRELOAD_MAX, "")) or 0
        return self.default_maximum if is_default and self.default_maximum else own


def parse_count(text: str) -> int | None:
    """The number of disposables that are to be kept ready; None for what is none."""
    # Python refuses to read numbers of some thousand digits.
    is_number = text.isascii() and text.isdigit() and len(text) < 9
    return int(text) if is_number and int(text) <= MOST_PRELOADED else None


def memory_floor(total_mib: int) -> int:
    """MiB that disposables which only wait leave free: 5 % of the memory, within 1000 to 6000; 500 of 8 GiB or less."""
    return 500 if total_mib <= 8 << 10 else min(max(total_mib // 20, 1000), 6000)


def what_ends(windows: Mapping[str, int]) -> str:
    """What is lost when disposables end, by their names, that have so many windows open; empty without any."""
    count = sum(windows.values())
    if not count:
        return ""
    names = ", ".join(f"“{name}”" for name in windows)
    are = "is 1 window" if count == 1 else f"are {count} windows"
    return f"All that is in {names} is gone then, and there {are} open."


def inherited(features: Collection[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Those features of a disposable template that its disposables have too; hidden is each for itself."""
    return tuple((name, value) for name, value in features if not name.startswith(PRELOAD) and name != INTERNAL)
