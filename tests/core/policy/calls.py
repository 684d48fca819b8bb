"""A small system, and calls in it."""

from qubes_manager.core.policy.evaluation import Policy, Verdict
from qubes_manager.core.policy.parser import read_policy
from qubes_manager.core.policy.subject import Subject
from tests.core.policy.texts import Texts

SYSTEM = {
    subject.name: subject
    for subject in (
        Subject("dom0", klass="AdminVM"),
        Subject("work", "1" * 8, tags=frozenset({"office"}), default_dispvm="fedora-dvm", is_running=True),
        Subject("personal", "2" * 8, is_running=True),
        Subject("vault", "3" * 8, tags=frozenset({"offline", "office"})),
        Subject("fedora", "4" * 8, klass="TemplateVM"),
        Subject("fedora-dvm", "5" * 8, template_for_dispvms=True, tags=frozenset({"throw-away"})),
        Subject("debian-dvm", "6" * 8, template_for_dispvms=True),
        Subject("disp12", "7" * 8, klass="DispVM", template="fedora-dvm", is_running=True),
        Subject("hidden", "8" * 8, internal=True, is_running=True),
    )
}


def policy(*lines: str) -> Policy:
    reading = read_policy(["30-user.policy"], Texts({"30-user.policy": "\n".join(lines)}))
    assert not reading.faults
    return Policy(reading.rules)


def decide(rules: Policy, source: str, target: str, service: str = "qubes.Filecopy", argument: str = "") -> Verdict:
    return rules.evaluate(service, argument, source, target, SYSTEM)
