"""Rules and decisions in plain words."""

import pytest

from qubes_manager.core.policy.evaluation import Policy
from qubes_manager.core.policy.parser import read_policy
from qubes_manager.core.policy.rules import Fault, Rule
from qubes_manager.core.policy.subject import Subject
from qubes_manager.core.policy.words import explain, rule_words
from tests.core.policy.texts import Texts

SYSTEM = {name: Subject(name) for name in ("work", "vault")}


def rule(line: str) -> Rule:
    reading = read_policy(["x"], Texts({"x": line}))
    assert not reading.faults
    return reading.rules[0]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "qubes.OpenURL * work vault deny",
            "When work asks for “Open links” (qubes.OpenURL) of vault: denied",
        ),
        ("* * work vault deny", "When work asks for any service of vault: denied"),
        (
            "a + @anyvm * deny notify=no",
            "When any domain asks for a without an argument of any domain or the host: denied, without a notice",
        ),
        (
            "a +x @tag:t @dispvm allow",
            "When any domain tagged “t” asks for a with the argument “x” of a new disposable: allowed",
        ),
        (
            "a * @type:AppVM @default ask default_target=vault",
            "When any AppVM asks for a of no domain by name: the user is asked, vault is chosen beforehand",
        ),
        (
            "a * @dispvm:dvm @adminvm ask user=root autostart=no notify=yes",
            "When any disposable of dvm asks for a of the "
            "host: the user is asked, only if that runs, with a notice, as the user root",
        ),
        (
            "a * * @dispvm:dvm allow target=@dispvm:other",
            "When any domain or the host asks for a of a new disposable of "
            "dvm: allowed, it goes to a new disposable of other",
        ),
        (
            "a * @dispvm:@tag:t @dispvm:@tag:t deny",
            "When any disposable of a template tagged “t” asks for a of a new "
            "disposable of a template tagged “t”: denied",
        ),
    ],
)
def test_a_rule_is_a_sentence(line: str, sentence: str) -> None:
    assert rule_words(rule(line)).sentence == sentence


def test_a_decision_names_its_rule() -> None:
    policy = Policy([rule("a   *  work\tvault  ask default_target=vault")])
    assert explain(policy, "a", "", "work", "vault", SYSTEM).lines == (
        "the user is asked; to choose from: vault",
        "vault is chosen beforehand",
        "decided by x:1: a * work vault ask default_target=vault",
        "When work asks for a of vault: the user is asked, vault is chosen beforehand",
    )


def test_a_decision_without_a_rule_says_so_and_names_what_is_broken() -> None:
    explanation = explain(Policy([], [Fault("x", 3, "no good")]), "a", "", "work", "vault", SYSTEM)
    assert explanation.is_denied
    assert explanation.lines[0] == "denied: no rule of the policy is about this; the policy is broken: x:3: no good"
    assert explanation.lines[1].endswith("x:3: no good")
