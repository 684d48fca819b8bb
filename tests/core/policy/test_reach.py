"""Who may reach whom."""

from qubes_manager.core.policy.evaluation import Allow, Ask, Policy
from qubes_manager.core.policy.graphviz import graph_lines
from qubes_manager.core.policy.parser import read_policy
from qubes_manager.core.policy.reach import Reach, reaches
from qubes_manager.core.policy.subject import Subject
from tests.core.policy.texts import Texts

SYSTEM = {
    subject.name: subject
    for subject in (
        Subject("dom0", klass="AdminVM", label="black"),
        Subject("work", label="blue", default_dispvm="dvm"),
        Subject("vault", label="red"),
        Subject("dvm", label="red", template_for_dispvms=True),
        Subject("quiet", internal=True),
    )
}


def policy(text: str) -> Policy:
    reading = read_policy(["x"], Texts({"x": text}))
    assert not reading.faults
    return Policy(reading.rules)


def words(found: list[Reach]) -> list[str]:
    return [f"{r.source} {'asks' if r.is_asked else 'has'} {r.target} {r.call}" for r in found]


def test_what_is_allowed_and_asked_is_found_and_what_is_denied_is_not() -> None:
    rules = policy("a * work vault allow\na * work @dispvm ask\nb * work dom0 ask\nb * * * deny")
    assert sorted(words(list(reaches(rules, SYSTEM)))) == [
        "work asks @dispvm:dvm a",
        "work asks dom0 b",
        "work has vault a",
    ]


def test_a_rule_that_sends_calls_elsewhere_reaches_only_there() -> None:
    assert words(list(reaches(policy("a * work @anyvm allow target=vault"), SYSTEM))) == ["work has vault a"]


def test_arguments_and_services_that_no_rule_names_stand_for_the_rest() -> None:
    rules = policy("a +x work vault deny\na * work vault allow\n* * vault work allow")
    assert sorted(words(list(reaches(rules, SYSTEM)))) == [
        "vault has work *",
        "vault has work a",
        "vault has work a+x",
        "work has vault a",
    ]


def test_only_what_was_asked_for_is_worked_out() -> None:
    rules = policy("* * @anyvm @anyvm ask")
    found = words(list(reaches(rules, SYSTEM, sources=["work"], targets=["vault"], services=["my.Service+x"])))
    assert found == ["work asks vault my.Service+x"]


def test_it_agrees_with_what_is_decided() -> None:
    rules = policy("a * vault * deny\na * work vault allow\na * @anyvm @dispvm allow\na * * @anyvm ask\na + * dom0 ask")
    found = {(r.source, r.target, r.is_asked) for r in reaches(rules, SYSTEM, services=["a+"])}
    decided = set()
    for source in SYSTEM:
        for target in (*SYSTEM, "@default", "@dispvm", "@dispvm:dvm"):
            match rules.evaluate("a", "", source, target, SYSTEM):
                case Allow() as verdict:
                    decided.add((source, verdict.target.replace("@adminvm", "dom0"), False))
                case Ask() as verdict if target == "@default":
                    decided |= {(source, t.replace("@adminvm", "dom0"), True) for t in verdict.targets}
                    decided.add((source, "@default", True))
    # The list of an ask has what is allowed as well.
    allowed = {(source, target, True) for source, target, is_asked in found if not is_asked}
    assert decided | allowed == found | allowed


def test_a_drawing_has_an_arrow_for_each_and_the_domains_colours() -> None:
    rules = policy("a * work vault allow\nb * work vault ask user=keys\nc * work @default ask")
    lines = list(graph_lines(reaches(rules, SYSTEM), SYSTEM))
    assert lines[0] == "digraph g {"
    assert lines[-1] == "}"
    assert '  "work" [color="#3465a4", penwidth=3];' in lines
    assert '  "@default" [style=dotted];' in lines
    assert '  "work" -> "vault" [label="a" color=red];' in lines
    assert '  "work" -> "vault" [label="b" color=orange];' in lines
    assert len(lines) == len(set(lines))
    full = list(graph_lines(reaches(rules, SYSTEM), SYSTEM, full=True))
    assert '  "work" -> "vault" [label="b ask user=keys" color=orange];' in full
    plain = list(graph_lines(reaches(rules, SYSTEM), SYSTEM, labels=False))
    assert '  "work" -> "vault" [label="" color=red];' in plain


def test_a_name_cannot_write_into_the_drawing() -> None:
    odd = 'a"];\nevil -> b [x="\\'
    system = {odd: Subject(odd), "b": Subject("b")}
    lines = list(graph_lines(reaches(policy("s * * b allow"), system), system))
    assert '  "a\\"];\\\\nevil -> b [x=\\"\\\\" -> "b" [label="s" color=red];' in lines
