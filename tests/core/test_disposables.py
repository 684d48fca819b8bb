"""What disposables are called, and what they get of their template."""

from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.disposables import (
    NUMBERS,
    REST,
    PreloadRules,
    choose_number,
    disposable_name,
    disposable_number,
    inherited,
    memory_floor,
    parse_count,
)

NOW = 1e9
SOME = st.sets(st.integers(0, NUMBERS - 1), max_size=50)


@given(taken=SOME, lately=SOME, index=st.integers(0, 10**6))
def test_a_number_is_neither_taken_nor_one_of_the_last_week(taken: set[int], lately: set[int], index: int) -> None:
    number = choose_number(dict.fromkeys(lately, NOW - REST + 1), taken, NOW, lambda count: index % count)
    assert 0 <= number < NUMBERS
    assert number not in taken | lately


def test_a_number_is_used_again_after_a_week_and_when_there_is_no_other() -> None:
    used = dict.fromkeys(range(NUMBERS), NOW - 10)
    assert choose_number({**used, 7: NOW - REST}, (), NOW, lambda _count: 0) == 7
    assert choose_number({**used, 8: NOW - 11, 9: NOW - 12}, {9}, NOW, lambda _count: 0) == 8


def test_a_clock_that_was_put_back_keeps_no_number_for_years() -> None:
    assert choose_number(dict.fromkeys(range(NUMBERS - 1), NOW + REST * 9), (), NOW, lambda _count: 0) == 0


def test_only_names_that_nobody_chose_have_a_number() -> None:
    assert disposable_number(disposable_name(9999)) == 9999
    assert disposable_number("disp0") == 0
    for chosen in ("disp01", "disp10000", "disp", "xdisp1", "disp1x", "disp١", "work"):
        assert disposable_number(chosen) is None


def test_a_disposable_does_not_ask_for_others_to_wait() -> None:
    assert inherited((("gui", "1"), ("preload-dispvm-max", "2"), ("preload-dispvm-delay", "0"))) == (("gui", "1"),)


def test_for_the_default_template_the_general_number_counts() -> None:
    own = (("preload-dispvm-max", "2"),)
    assert PreloadRules(5).maximum(own, is_default=True) == 5
    assert PreloadRules(5).maximum(own, is_default=False) == 2
    assert PreloadRules(0).maximum(own, is_default=True) == 2
    assert PreloadRules(0).maximum((("preload-dispvm-max", "many"),), is_default=False) == 0


def test_what_is_no_number_of_disposables_keeps_none_ready() -> None:
    assert [parse_count(text) for text in ("0", "50", "51", "-1", "", "²", "9" * 5000)] == [0, 50] + [None] * 5


def test_the_memory_that_is_left_free_grows_with_the_machine_within_bounds() -> None:
    assert [memory_floor(gib << 10) for gib in (4, 8, 16, 64, 512)] == [500, 500, 1000, 3276, 6000]
