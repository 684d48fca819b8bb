"""Deciding calls, by the rules that Qubes' own documents describe."""

import pytest

from qubes_manager.core.policy.evaluation import Allow, Ask, Deny, Policy, permits
from qubes_manager.core.policy.rules import Fault
from qubes_manager.core.policy.subject import Subject
from tests.core.policy.calls import SYSTEM, decide, policy


def test_the_first_rule_that_matches_decides() -> None:
    rules = policy("* * work personal deny", "* * work @anyvm allow", "* * work personal allow")
    assert isinstance(decide(rules, "work", "personal"), Deny)
    assert isinstance(decide(rules, "work", "vault"), Allow)


def test_without_a_rule_that_matches_a_call_is_denied() -> None:
    verdict = decide(policy("qubes.OpenURL * work personal allow"), "work", "personal")
    assert verdict == Deny(True, None, "no rule of the policy is about this")


def test_a_call_without_an_argument_matches_a_lone_plus() -> None:
    rules = policy("qubes.Filecopy + work vault allow", "qubes.Filecopy * work vault deny")
    assert isinstance(decide(rules, "work", "vault"), Allow)
    assert isinstance(decide(rules, "work", "vault", argument="allow-all-names"), Deny)


def test_an_allow_goes_where_its_target_says() -> None:
    rules = policy("qubes.Gpg * work @default allow target=vault user=keys notify=yes")
    verdict = decide(rules, "work", "", "qubes.Gpg")
    assert isinstance(verdict, Allow)
    assert (verdict.target, verdict.user, verdict.notify, verdict.autostart) == ("vault", "keys", True, True)


@pytest.mark.parametrize(
    ("target", "goes_to"), [("@dispvm", "@dispvm:fedora-dvm"), ("dom0", "@adminvm"), ("personal", "personal")]
)
def test_targets_are_written_in_one_way(target: str, goes_to: str) -> None:
    verdict = decide(policy("* * work * allow"), "work", target)
    assert isinstance(verdict, Allow)
    assert verdict.target == goes_to


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("work", "work", "asks for itself"),
        ("work", "@default", "names a domain"),
        ("personal", "@dispvm", "no template for its disposables"),
        ("work", "@dispvm:vault", "no template for disposables"),
        ("work", "@dispvm:nobody", "no template for disposables"),
        ("work", "@tag:office", "cannot be the target of a call"),
        ("nobody", "work", "not known who asks"),
    ],
)
def test_some_calls_no_policy_lets_through(source: str, target: str, reason: str) -> None:
    verdict = decide(policy("* * * * allow"), source, target)
    assert isinstance(verdict, Deny)
    assert reason in verdict.reason


def test_the_list_of_an_ask_is_what_the_rules_let_through() -> None:
    rules = policy(
        "* * work vault deny",
        "* * work personal allow",
        "* * work @anyvm ask default_target=personal",
    )
    verdict = decide(rules, "work", "@default")
    assert isinstance(verdict, Ask)
    assert verdict.targets == (
        "@dispvm:debian-dvm",
        "@dispvm:fedora-dvm",
        "debian-dvm",
        "disp12",
        "fedora",
        "fedora-dvm",
        "personal",
    )
    assert verdict.default_target == "personal"


def test_a_denied_disposable_is_not_offered_by_another_name() -> None:
    rules = policy("* * work @dispvm:fedora-dvm deny", "* * work @dispvm ask", "* * work @default ask")
    assert isinstance(decide(rules, "work", "@default"), Deny)


def test_an_ask_with_a_target_offers_only_that() -> None:
    verdict = decide(policy("* * work @anyvm ask target=@adminvm default_target=vault"), "work", "personal")
    assert isinstance(verdict, Ask)
    assert (verdict.targets, verdict.default_target) == (("@adminvm",), "")


def test_an_ask_with_nothing_to_choose_is_a_deny() -> None:
    verdict = decide(policy("* * personal @dispvm ask"), "personal", "@dispvm")
    assert isinstance(verdict, Deny)
    assert "no domain that could be asked for (30-user.policy:1)" in verdict.reason


def test_without_autostart_only_what_runs_is_reached() -> None:
    rules = policy("* * work @default ask autostart=no", "* * work * allow autostart=no")
    assert isinstance(decide(rules, "work", "vault"), Deny)
    assert isinstance(decide(rules, "work", "@dispvm"), Deny)
    assert isinstance(decide(rules, "work", "personal"), Allow)
    assert isinstance(decide(rules, "work", "dom0"), Allow)
    asked = decide(rules, "work", "")
    assert isinstance(asked, Ask)
    assert asked.targets == ("@adminvm", "disp12", "personal")


@pytest.mark.parametrize(
    ("line", "target", "permitted"),
    [
        ("* * work personal allow", "personal", True),
        ("* * work personal ask", "personal", True),
        ("* * work dom0 ask", "dom0", True),
        ("* * work personal deny", "personal", False),
        ("* * work personal allow target=vault", "personal", False),
        ("* * work personal ask target=vault", "personal", False),
    ],
)
def test_a_choice_of_the_users_own_counts_as_his_answer(line: str, target: str, permitted: bool) -> None:
    assert permits(decide(policy(line), "work", target), target) is permitted


def test_the_caller_is_told_nothing_about_others_and_their_rules() -> None:
    rules = policy("* * work personal deny", "* * work vault allow target=vault autostart=no", "* * work work allow")
    told = [v.told for t in ("personal", "vault", "work") if isinstance(v := decide(rules, "work", t), Deny)]
    assert told == ["the policy does not allow it", "the policy does not allow it", "work asks for itself"]


def test_what_is_wrong_with_a_broken_policy_is_part_of_the_reason() -> None:
    verdict = Policy([], [Fault("30-user.policy", 3, "no good")]).evaluate("a", "", "work", "vault", SYSTEM)
    assert isinstance(verdict, Deny)
    assert verdict.reason.endswith("the policy is broken: 30-user.policy:3: no good")


class TestAnswers:
    RULES = policy("* * work vault deny", "* * work @anyvm ask user=other")

    def asked(self) -> Ask:
        verdict = decide(self.RULES, "work", "@default")
        assert isinstance(verdict, Ask)
        return verdict

    def test_a_choice_that_was_offered_goes_ahead(self) -> None:
        answer = self.RULES.answer(self.asked(), "personal", SYSTEM)
        assert isinstance(answer, Allow)
        assert (answer.target, answer.user) == ("personal", "other")

    def test_a_choice_that_was_not_offered_is_refused(self) -> None:
        assert isinstance(self.RULES.answer(self.asked(), "vault", SYSTEM), Deny)

    def test_a_policy_that_has_changed_meanwhile_decides(self) -> None:
        assert isinstance(policy("* * work * deny").answer(self.asked(), "personal", SYSTEM), Deny)
        assert isinstance(policy("* * work * allow target=vault").answer(self.asked(), "personal", SYSTEM), Deny)

    def test_a_name_that_is_another_domains_by_now_is_refused(self) -> None:
        now = {**SYSTEM, "personal": Subject("personal", "9" * 8, is_running=True)}
        assert isinstance(self.RULES.answer(self.asked(), "personal", now), Deny)
