"""Reading sets of policy files."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.policy.parser import (
    MAX_DEPTH,
    MAX_FAULTS,
    MAX_LINES,
    Reading,
    read_policy,
    read_service_file,
)
from qubes_manager.core.policy.rules import Action
from tests.core.policy.texts import Texts

MAIN = "30-user.policy"


def read(text: str, **others: str) -> Reading:
    return read_files({MAIN: text, **{name.replace("__", "/"): other for name, other in others.items()}})


def read_files(files: Mapping[str, str]) -> Reading:
    return read_policy([MAIN], Texts(files))


def faults(reading: Reading) -> list[str]:
    return [str(fault) for fault in reading.faults]


def test_comments_and_empty_lines_say_nothing() -> None:
    reading = read("# a comment\n\n   \t\n  # another\n* * work vault deny\r\n* * vault work allow")
    assert faults(reading) == []
    assert [(rule.line, rule.action) for rule in reading.rules] == [(5, Action.DENY), (6, Action.ALLOW)]


def test_a_bad_lines_service_is_in_doubt() -> None:
    reading = read("my.Service * work vault denny\n!include nowhere\n* * a b denny")
    assert [(rule.service, rule.action) for rule in reading.doubtful] == [("my.Service", Action.DENY)]


def test_an_included_file_stands_where_it_is_included() -> None:
    reading = read("* * a b deny\n!include include/more\n* * c d deny", include__more="* * x y allow\n")
    assert [rule.place for rule in reading.rules] == [f"{MAIN}:1", "include/more:1", f"{MAIN}:3"]


def test_a_folder_is_included_in_the_order_of_its_names() -> None:
    reading = read("!include-dir more", more__2="* * a b deny", more__1="* * a b allow")
    assert [rule.file for rule in reading.rules] == ["more/1", "more/2"]


def test_a_file_of_one_service_has_source_target_and_action() -> None:
    reading = read(
        "!include-service qubes.Gpg +key include/old",
        include__old="work @default allow,target=vault,user=keys\n$anyvm $anyvm deny\n$include:include/rest\n",
        include__rest="a b ask, default_target=b notify=yes",
    )
    assert faults(reading) == []
    assert [(rule.service, rule.argument, str(rule.source), rule.action) for rule in reading.rules] == [
        ("qubes.Gpg", "+key", "work", Action.ALLOW),
        ("qubes.Gpg", "+key", "@anyvm", Action.DENY),
        ("qubes.Gpg", "+key", "a", Action.ASK),
    ]
    assert reading.rules[0].user == "keys"


def test_a_file_of_one_service_includes_files_only() -> None:
    reading = read("!include-service * * include/old", include__old="!include-dir x\nwork vault")
    assert faults(reading) == [
        "include/old:1: '!include-dir' cannot stand here: !include FILE is the only directive of such files",
        "include/old:2: a rule has source, target and action here; this line has 2 words",
    ]
    assert read_service_file("x", Texts({"x": "work vault allow"})).faults == []


def test_files_of_qubes_4_0_are_taken_from_a_folder_of_their_own() -> None:
    folder = {
        "compat-4.0/my.Service": "work vault allow\n",
        "compat-4.0/my.Service+key": "vault work ask\n",
        "compat-4.0/another.One": "$include:shared\n",
        "compat-4.0/shared": "a b deny\n",
    }
    reading = read_files({MAIN: "!compat-4.0", **folder})
    assert faults(reading) == []
    assert [(rule.file, rule.service, rule.argument, rule.action) for rule in reading.rules] == [
        ("compat-4.0/shared", "another.One", None, Action.DENY),
        ("compat-4.0/my.Service+key", "my.Service", "+key", Action.ASK),
        # What such a file does not name it denies.
        ("compat-4.0/my.Service+key", "my.Service", "+key", Action.DENY),
        ("compat-4.0/my.Service", "my.Service", None, Action.ALLOW),
        ("compat-4.0/shared", "shared", None, Action.DENY),
    ]


def test_without_that_folder_nothing_is_taken() -> None:
    reading = read("!compat-4.0")
    assert (reading.rules, reading.faults) == ([], [])


def test_a_file_that_includes_itself_is_found_out() -> None:
    assert faults(read("!include a", a="!include b", b="!include ./a")) == ["b:1: a includes itself"]


def test_many_files_that_include_one_another_end() -> None:
    chain = {str(number): f"!include {number + 1}\n" for number in range(MAX_DEPTH + 5)}
    (fault,) = read_files({MAIN: "!include 0", **chain}).faults
    assert "too many files" in fault.reason
    doubling = {str(number): f"!include {number + 1}\n!include {number + 1}\n" for number in range(MAX_DEPTH - 2)}
    reading = read_files({MAIN: "!include 0", **doubling, str(MAX_DEPTH - 2): "* * a b deny\n" * 5})
    assert "more than is read" in reading.faults[0].reason
    assert len(reading.rules) <= MAX_LINES


def test_faults_are_bounded() -> None:
    assert len(read("x\n" * 10_000).faults) <= MAX_FAULTS + 1


WORDS = st.sampled_from(
    [
        *("*", "+", "+a", "@anyvm", "@adminvm", "@default", "@dispvm", "@dispvm:x", "@dispvm:@tag:t", "@tag:t"),
        *("@type:AppVM", "uuid:", "work", "dom0", "allow", "ask", "deny", "target=work", "target=@default", "user=u"),
        *("notify=yes", "autostart=no", "autostart=x", "!include", "!include-dir", "!include-service", "!compat-4.0"),
        *("a", "$anyvm", ",", "#", "=", "@", "@:", "@dispvm:@", "qubes.Filecopy"),
    ]
)
LINES = st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=9).map(" ".join))
TEXTS = st.lists(LINES, max_size=6).map("\n".join)


@given(st.dictionaries(st.sampled_from([MAIN, "a", "work", "compat-4.0/a", "x/a"]), TEXTS, max_size=5))
def test_of_any_text_become_rules_and_faults_and_nothing_else(files: dict[str, str]) -> None:
    reading = read_policy(files, Texts(files))
    for fault in reading.faults:
        assert fault.reason
        assert fault.reason.isprintable()
        assert "\n" not in str(fault)
    for rule in reading.rules:
        assert rule.text.isprintable() or "\t" in rule.text
    assert read_service_file("a", Texts({"a": "\n".join(files.values())})) is not None
