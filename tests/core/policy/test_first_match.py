"""Whatever rules there are and in whatever order: what the first that matches denies never gets through.

The oracle knows nothing of tokens: it looks up in tables, written by hand for one system, whom each word stands for.
"""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from qubes_manager.core.policy.evaluation import Allow, Ask, Deny, Policy
from qubes_manager.core.policy.parser import read_policy
from qubes_manager.core.policy.subject import Subject
from tests.core.policy.texts import Texts

UUID = "11111111-1111-4111-8111-111111111111"
SYSTEM = {
    subject.name: subject
    for subject in (
        Subject("dom0", klass="AdminVM"),
        Subject("work", UUID, tags=frozenset({"t"}), default_dispvm="dvm", is_running=True),
        Subject("vault", "2" * 36, tags=frozenset({"t"})),
        Subject("dvm", "3" * 36, tags=frozenset({"t"}), template_for_dispvms=True),
        Subject("tor", "4" * 36, template_for_dispvms=True, default_dispvm="tor"),
        Subject("disp1", "5" * 36, klass="DispVM", template="dvm", default_dispvm="dvm", is_running=True),
        Subject("quiet", "6" * 36, internal=True),
    )
}
DOMAINS = {"work", "vault", "dvm", "tor", "disp1", "quiet"}
SOURCES = {
    "*": {*DOMAINS, "dom0"},
    "@anyvm": DOMAINS,
    "@adminvm": {"dom0"},
    "dom0": {"dom0"},
    "work": {"work"},
    f"uuid:{UUID}": {"work"},
    "nobody": set(),
    "@tag:t": {"work", "vault", "dvm"},
    "@type:AppVM": {"work", "vault", "dvm", "tor", "quiet"},
    "@type:DispVM": {"disp1"},
    "@dispvm:dvm": {"disp1"},
    "@dispvm:tor": set(),
    "@dispvm:@tag:t": {"disp1"},
}
# “new” is @dispvm of a source whose default is dvm, “new tor” of one whose default is tor, “new none” of one without.
NEW = {"new", "new tor", "new none", "@dispvm:dvm", "@dispvm:tor"}
TARGETS = {
    "*": {*DOMAINS, "@adminvm", "@default", *NEW},
    "@anyvm": {*DOMAINS, "@default", *NEW},
    "@adminvm": {"@adminvm"},
    "@default": {"@default"},
    "@dispvm": {"new", "new tor", "new none"},
    "@dispvm:dvm": {"new", "@dispvm:dvm"},
    "@dispvm:tor": {"new tor", "@dispvm:tor"},
    "@dispvm:@tag:t": {"new", "@dispvm:dvm"},
    "work": {"work"},
    "vault": {"vault"},
    f"uuid:{UUID}": {"work"},
    "nobody": set(),
    "@tag:t": {"work", "vault", "dvm"},
    "@type:AppVM": {"work", "vault", "dvm", "tor", "quiet"},
    "@type:AdminVM": {"@adminvm"},
}
CALLS = [*DOMAINS, "@adminvm", "@default", "@dispvm", "@dispvm:dvm", "@dispvm:tor"]


@dataclass(frozen=True)
class Line:
    """A rule in words."""

    service: str
    argument: str
    source: str
    target: str
    action: str
    redirect: str

    @property
    def text(self) -> str:
        return f"{self.service} {self.argument} {self.source} {self.target} {self.action} {self.redirect}"


# Most rules are about the call that is decided, or nothing would be seen of their order.
REDIRECTS = ["", "", "", "", "", "", "target=vault", "target=@dispvm", "target=@adminvm", "target=nobody"]


@st.composite
def lines(draw: st.DrawFn) -> Line:
    service, argument = draw(st.sampled_from([("a", "*"), ("a", "*"), ("*", "*"), ("a", "+"), ("a", "+x"), ("b", "*")]))
    source = draw(st.sampled_from(["*", "@anyvm"]) | st.sampled_from(sorted(SOURCES)))
    target = draw(st.sampled_from(sorted(TARGETS)))
    action = draw(st.sampled_from(["allow", "ask", "deny"]))
    redirect = draw(st.sampled_from(REDIRECTS)) if action != "deny" else ""
    if action == "allow" and target == "@default" and not redirect:
        redirect = "target=vault"
    return Line(service, argument, source, target, action, redirect)


def first_match(rules: list[Line], argument: str, source: str, call: str) -> Line | None:
    """By the tables alone."""
    wanted = call
    if call == "@dispvm":
        wanted = {"work": "new", "disp1": "new", "tor": "new tor"}.get(source, "new none")
    for line in rules:
        is_about = line.service in ("*", "a") and line.argument in ("*", f"+{argument}")
        if is_about and source in SOURCES[line.source] and wanted in TARGETS[line.target]:
            return line
    return None


@settings(max_examples=500)
@given(
    st.lists(lines(), min_size=1, max_size=8),
    st.sampled_from(["", "x"]),
    st.sampled_from(sorted(SYSTEM)),
    st.sampled_from(CALLS) | st.just("@default"),
)
def test_no_order_of_rules_lets_through_what_the_first_match_denies(
    rules: list[Line], argument: str, source: str, call: str
) -> None:
    reading = read_policy(["x"], Texts({"x": "\n".join(line.text for line in rules)}))
    assert reading.faults == []
    verdict = Policy(reading.rules).evaluate("a", argument, source, call, SYSTEM)
    first = first_match(rules, argument, source, call)
    if first is None or first.action == "deny":
        assert isinstance(verdict, Deny)
    assert verdict.rule is None if first is None else verdict.rule and verdict.rule.text == first.text.strip()
    if isinstance(verdict, Deny):
        return
    assert first
    assert type(verdict).__name__.lower() == first.action
    gets = verdict.targets if isinstance(verdict, Ask) else (verdict.target,)
    assert gets
    redirects = {
        line.redirect.removeprefix("target=").replace("@dispvm", f"@dispvm:{SYSTEM[source].default_dispvm}")
        for line in rules
        if line.redirect
    }
    for target in gets:
        # Nobody reaches himself, or what does not exist.
        assert target != ("@adminvm" if source == "dom0" else source)
        assert target.removeprefix("@dispvm:") in SYSTEM or target == "@adminvm"
        if target in redirects or isinstance(verdict, Allow):
            continue
        # What is offered is what a call to it would not be denied, whichever way it is named.
        names = [target]
        if target == f"@dispvm:{SYSTEM[source].default_dispvm}":
            names.append("@dispvm")
        through = [first_match(rules, argument, source, name) for name in names]
        assert any(line and line.action != "deny" for line in through)
