"""Signals: who hears what, and what a listener that fails does to the others."""

import logging

import pytest

from qubes_manager.core.signal import Signal


def test_all_that_are_connected_hear_the_values_in_their_order() -> None:
    signal = Signal[str, int]()
    heard: list[object] = []
    assert not signal.is_heard
    signal.emit("nobody", 0)
    signal.connect(lambda text, number: heard.append((1, text, number)))
    signal.connect(lambda text, number: heard.append((2, text, number)))
    assert signal.is_heard
    signal.emit("a", 7)
    assert heard == [(1, "a", 7), (2, "a", 7)]


def test_one_that_connects_twice_hears_twice_and_ends_each_on_its_own() -> None:
    signal = Signal[int]()
    heard: list[int] = []
    first = signal.connect(heard.append)
    second = signal.connect(heard.append)
    signal.emit(1)
    first()
    first()
    signal.emit(2)
    assert heard == [1, 1, 2]
    second()
    signal.emit(3)
    assert heard == [1, 1, 2]
    assert not signal.is_heard


def test_who_is_disconnected_meanwhile_hears_nothing_any_more() -> None:
    signal = Signal[()]()
    heard: list[str] = []

    def first() -> None:
        heard.append("first")
        end_first()
        end_second()

    end_first = signal.connect(first)
    end_second = signal.connect(lambda: heard.append("second"))
    signal.connect(lambda: heard.append("third"))
    signal.emit()
    signal.emit()
    assert heard == ["first", "third", "third"]


def test_who_connects_meanwhile_hears_of_the_next_time() -> None:
    signal = Signal[int]()
    heard: list[int] = []
    end = signal.connect(lambda _number: signal.connect(heard.append))
    signal.emit(1)
    assert heard == []
    end()
    signal.emit(2)
    assert heard == [2]


def test_a_listener_that_fails_keeps_nobody_from_hearing_and_leaves_a_trace(caplog: pytest.LogCaptureFixture) -> None:
    signal = Signal[int]()
    heard: list[int] = []
    signal.connect(lambda number: heard.append(1 // number))
    signal.connect(heard.append)
    signal.emit(0)
    assert heard == [0]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info and record.exc_info[0] is ZeroDivisionError


def test_what_ends_the_program_is_not_held_up() -> None:
    signal = Signal[()]()

    def interrupted() -> None:
        raise KeyboardInterrupt

    signal.connect(interrupted)
    with pytest.raises(KeyboardInterrupt):
        signal.emit()
