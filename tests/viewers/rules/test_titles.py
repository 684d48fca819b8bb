"""What windows are called."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from qubes_manager.viewers.rules import titles
from tests.viewers.rules.conftest import RULES, Watched


@pytest.mark.parametrize(
    ("title", "shown", "in_utf8"),
    [
        ("plain", "[work] plain", "[work] plain"),
        ("Grüße", "[work] Gr__e", "[work] Grüße"),
        ("a\x1b[31mred\x1b]0;x\x07\nb", "[work] ared b", "[work] ared b"),
        ("[vault] \u202edesrever", "[work] [vault] desrever", "[work] [vault] desrever"),
        ("\ufffd\ufffd", "[work] __", "[work] \ufffd\ufffd"),
        ("@windowid@", "[work] @windowid@", "[work] @windowid@"),
        ("\udcff\x00\u200b", "[work]", "[work]"),
        ("", "[work]", "[work]"),
    ],
)
def test_titles_are_marked_and_stripped(
    watched: Watched, judging: Callable[..., Watched], title: str, shown: str, in_utf8: str
) -> None:
    told = watched.opened(title=title, icon_title=title).metadata
    assert told.title == told.icon_title == shown
    free = judging(replace(RULES, allow_utf8_titles=True))
    assert free.opened(title=title).metadata.title == in_utf8
    assert free.told(title=title).title == in_utf8


def test_a_window_without_a_title_has_its_domain_s(watched: Watched) -> None:
    told = watched.opened().metadata
    assert (told.title, told.icon_title) == ("[work]", None)


def test_a_title_of_a_mebibyte_is_cut(watched: Watched) -> None:
    assert len(str(watched.opened(title="x" * (1 << 20)).metadata.title)) < 220
    told = watched.told(title="y" * (1 << 20), icon_title="z" * (1 << 20))
    assert len(str(told.title)) < 220 and len(str(told.icon_title)) < 220
    assert len(titles.kept("x" * 5000)) == 400


def test_no_class_is_another_domain_s_or_a_program_s_of_the_host(watched: Watched) -> None:
    told = watched.opened(class_instance=("../vault", "Vault:\u202e"), role="ro le" + "x" * 100).metadata
    assert told.class_instance == ("work:.._vault", "work:Vault__")
    assert told.role == "ro_le" + "x" * 59
