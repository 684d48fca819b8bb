"""When what was opened counts as closed."""

from itertools import chain, repeat

import pytest

from qubes_manager.guest.opening.watch import GRACE, Look, Watch

EDITOR, HELPER, FOREIGN = 100, 200, 300
NAMES = {"editor": EDITOR, "dconf-service": HELPER}


def look(*running: str, windows: dict[int, int] | None = None) -> Look:
    """What there is: programs of ours by name, and windows with their processes."""
    return Look({NAMES[name]: name for name in running}, windows or {})


NOTHING, WORKS = look(), look("editor")
SHOWN = look("editor", windows={1: EDITOR})


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def closed_after(*looks: tuple[Look, float], before: Look = NOTHING, has_seen_window: bool = True) -> float:
    """When a watch ends, in seconds, if there is each look for so long, and the last for ever."""
    time = Time()
    sequence = chain([before], chain.from_iterable(repeat(each, int(span / 0.25)) for each, span in looks))
    last = looks[-1][0]
    watch = Watch(lambda: next(sequence, last), clock=lambda: time.now)

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        assert time.now < 10_000, "it never ends"

    watch.wait_for_end(sleep)
    assert watch.has_seen_window is has_seen_window
    return time.now


def test_an_editor_is_closed_when_its_window_and_it_are_gone() -> None:
    assert closed_after((WORKS, 60), (SHOWN, 600), (WORKS, 2), (NOTHING, 1)) == pytest.approx(662, abs=1)


def test_a_slow_start_is_waited_for() -> None:
    assert closed_after((WORKS, 900), (SHOWN, 10), (NOTHING, 1)) == pytest.approx(910, abs=1)


def test_a_splash_before_the_window_is_no_end() -> None:
    splash = look("editor", windows={7: EDITOR})
    assert closed_after((splash, 5), (WORKS, 50), (SHOWN, 100), (NOTHING, 1)) == pytest.approx(155, abs=1)


def test_a_launcher_that_ends_at_once_is_no_end_while_its_window_comes() -> None:
    assert closed_after((NOTHING, 10), (WORKS, 60), (SHOWN, 100), (NOTHING, 1)) == pytest.approx(170, abs=1)


def test_helpers_of_the_desktop_hold_nothing_open() -> None:
    helper = look("dconf-service")
    assert closed_after((SHOWN, 10), (helper, 1)) == pytest.approx(10, abs=1)


def test_a_program_that_stays_without_windows_is_over_after_a_while() -> None:
    assert closed_after((SHOWN, 10), (WORKS, 1)) == pytest.approx(70, abs=1)


def test_without_any_window_it_ends_after_a_grace() -> None:
    assert closed_after((WORKS, 5), (NOTHING, 1), has_seen_window=False) == pytest.approx(5 + GRACE, abs=1)


def test_a_program_that_ran_before_may_take_the_file() -> None:
    taken = look(windows={9: FOREIGN})
    assert closed_after((WORKS, 1), (NOTHING, 3), (taken, 100), (NOTHING, 1)) == pytest.approx(104, abs=1)


def test_windows_of_others_do_not_count_while_ours_works() -> None:
    beside = look("editor", windows={1: EDITOR, 9: FOREIGN})
    left = look(windows={9: FOREIGN})
    assert closed_after((beside, 10), (left, 1)) == pytest.approx(10, abs=1)


def test_windows_from_before_do_not_count() -> None:
    before = look(windows={5: 0})
    with_ours = look("editor", windows={5: 0, 6: 0})
    assert closed_after((WORKS, 1), (with_ours, 10), (before, 1), before=before) == pytest.approx(11, abs=1)


def test_who_waits_for_a_window_is_told_whether_it_came() -> None:
    time = Time()
    sequence = iter([NOTHING, WORKS, WORKS, SHOWN])
    watch = Watch(lambda: next(sequence), clock=lambda: time.now)
    assert watch.wait_for_window(60, time.sleep)
    never = Watch(lambda: WORKS, clock=lambda: time.now)
    assert not never.wait_for_window(60, time.sleep)
    assert time.now == pytest.approx(60.5, abs=1)
