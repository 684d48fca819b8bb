"""Single lines of policy files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.policy.parser import Reading, read_policy
from tests.core.policy.texts import Texts

MAIN = "30-user.policy"


def read(text: str) -> Reading:
    return read_policy([MAIN], Texts({MAIN: text}))


def test_a_rule_has_all_that_its_line_says() -> None:
    (rule,) = read(
        "qubes.Gpg +key work @default ask target=vault default_target=vault user=keys notify=yes autostart=no"
    ).rules
    assert (rule.service, rule.argument, rule.user, rule.notify, rule.autostart) == (
        "qubes.Gpg",
        "+key",
        "keys",
        True,
        False,
    )
    assert [str(token) for token in (rule.source, rule.target, rule.redirect, rule.default_target)] == [
        "work",
        "@default",
        "vault",
        "vault",
    ]
    assert rule.place == "30-user.policy:1"


def test_only_a_deny_is_noticed_unless_something_else_is_said() -> None:
    reading = read("* * a b allow\n* * a b ask\n* * a b deny\n* * a b deny notify=no\n* * a b allow notify=yes")
    assert [rule.notify for rule in reading.rules] == [False, False, True, False, True]


BAD = [
    ("* * work vault", "this line has 4 words"),
    ("qubes.Filecopy", "this line has 1 word"),
    ("qubes.Filecopy * work vault maybe", "'maybe' is no action"),
    ("qubes/Filecopy * work vault deny", "'qubes/Filecopy' is no service"),
    ("qubes.Filecopy+x * work vault deny", "is no service"),
    ("qubes.Filecopy x work vault deny", "'x' is no argument"),
    ("qubes.Filecopy +a/b work vault deny", "is no argument"),
    ("* + work vault deny", "needs a service"),
    ("* * work vault allow please", "'please' is no option"),
    ("* * work vault allow default_target=vault", "has no option 'default_target'"),
    ("* * work vault deny target=vault", "has no option 'target'"),
    ("* * work vault deny autostart=no", "has no option 'autostart'"),
    ("* * work vault allow user=a user=b", "there twice"),
    ("* * work vault allow notify=true", "it can be yes or no"),
    ("* * work vault ask autostart=", "has no value"),
    ("* * work vault allow user=a;b", "no name of a user"),
    ("* * work @default allow", "needs target="),
    ("* * @default vault deny", "'@default' cannot be the source"),
    ("* * @dispvm vault deny", "'@dispvm' cannot be the source"),
    ("* * work vault allow target=@anyvm", "cannot be the target="),
    ("* * work vault allow target=*", "cannot be the target="),
    ("* * work vault ask default_target=@tag:x", "cannot be the target= or default_target="),
    ("* * work @tag: deny", "needs a name after '@tag:'"),
    ("* * work @dispvm:@anyvm deny", "needs a name after '@dispvm:'"),
    ("* * work @dispvm:@tag: deny", "needs a name after"),
    ("* * work @everybody deny", "there is no '@everybody'"),
    ("* * work uuid:12 deny", "no UUID"),
    ("* * work va\u202eult deny", "U+202E"),
    ("* * work vault deny # because", "'#' is no option"),
    ("* * work vault deny" + " " * 5000 + "notify=no", "at most 4096"),
    ("!import x", "there is no directive '!import'"),
    ("!include", "!include takes the path of a file"),
    ("!include a b", "!include takes the path of a file"),
    ("!include-service a b", "takes a service, an argument and the path"),
    ("!include-service * +a f", "needs a service"),
    ("!compat-4.0 now", "takes nothing"),
    ("!include nowhere", "no such file"),
    ("!include-dir nowhere", "no such folder"),
]


@pytest.mark.parametrize(("line", "reason"), BAD, ids=[str(number) for number in range(len(BAD))])
def test_a_bad_line_is_named_with_its_reason(line: str, reason: str) -> None:
    reading = read(f"# first\n{line}\n* * a b deny")
    (fault,) = reading.faults
    assert (fault.file, fault.line) == (MAIN, 2)
    assert reason in fault.reason
    assert len(reading.rules) == 1


@given(st.text(max_size=200))
def test_random_text_is_hardly_ever_a_rule(text: str) -> None:
    reading = read(text)
    assert all(len(rule.text.split()) >= 5 for rule in reading.rules)
