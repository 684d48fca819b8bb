"""qubes-manager policy, on the domains of the test driver."""

from qubes_manager.services.crossing.audit import Audit, Decider, Decision, Outcome
from qubes_manager.services.files.user_folders import UserFolders
from tests.cli.conftest import run

RULES = "qubes.Filecopy * @tag:money Vault deny\nqubes.Filecopy * work debian allow target=Vault user=keys\n"


def write(text: str) -> None:
    assert run("qubes-policy", "--replace", "30-user", data=text).returncode == 0


def test_the_rule_that_decides_is_named(host: str) -> None:
    write(RULES)
    done = run("qubes-manager", "policy", "-c", host, "explain", "qubes.Filecopy+x", "work", "debian")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "allowed: it goes to Vault, as the user keys",
        "decided by 30-user.policy:2: qubes.Filecopy * work debian allow target=Vault user=keys",
        "When work asks for “Copy files” (qubes.Filecopy) of debian: allowed, it goes to Vault, as the user keys",
    ]
    denied = run("qubes-manager", "policy", "-c", host, "explain", "qubes.Filecopy", "work", "Vault")
    assert (denied.returncode, "30-user.policy:1" in denied.stdout) == (1, True)
    asked = run("qubes-manager", "policy", "-c", host, "explain", "qubes.Filecopy", "Vault")
    assert "the user is asked; to choose from: @adminvm, debian\n" in asked.stdout
    unknown = run("qubes-manager", "policy", "-c", host, "explain", "qubes.Filecopy", "nobody")
    assert "no such domain: nobody" in unknown.stderr


def test_the_rules_are_told_in_words_and_a_broken_policy_is_said_to_be_so() -> None:
    write(RULES)
    done = run("qubes-manager", "policy", "rules")
    assert done.returncode == 0
    assert "any domain tagged “money”" in done.stdout
    (UserFolders.of_environment().policy / "40-more.policy").write_text("broken\n")
    broken = run("qubes-manager", "policy", "rules")
    assert broken.returncode == 1
    assert "40-more.policy:1: a rule has service" in broken.stderr


def test_what_was_decided_is_listed_with_filters() -> None:
    audit = Audit(UserFolders.of_environment().audit)
    audit.write(Decision("work", "qubes.Filecopy", "", "@default", Outcome.ALLOWED, Decider.USER, "Vault", when=1.0))
    audit.write(Decision("Vault", "qubes.OpenURL", "", "work", Outcome.REFUSED, Decider.POLICY, reason="no", when=2.0))
    listed = run("qubes-manager", "policy", "log").stdout.splitlines()
    assert [("OpenURL" in line, "Filecopy" in line) for line in listed] == [(0, 0), (1, 0), (0, 1)]
    assert "refused by policy" in listed[1]
    assert len(run("qubes-manager", "policy", "log", "--source", "work").stdout.splitlines()) == 2
    assert len(run("qubes-manager", "policy", "log", "--days", "1").stdout.splitlines()) == 1
