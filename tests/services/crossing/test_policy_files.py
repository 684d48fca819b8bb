"""The user's policy files: reading, changing, and what holds when they are broken."""

import os
import threading
from pathlib import Path

import pytest

from qubes_manager.core.errors import BadInput, NotFound, Overtaken, Refused
from qubes_manager.core.policy.evaluation import Allow, Ask, Deny, Policy, Verdict
from qubes_manager.core.policy.subject import Subject
from qubes_manager.services.crossing import policy_files
from qubes_manager.services.crossing.policy_files import ANY, NEW, BrokenPolicy, PolicyFiles

SYSTEM = {
    name: Subject(name, name * 2, default_dispvm="dvm", template_for_dispvms=name == "dvm", is_running=True)
    for name in ("dom0", "work", "personal", "vault", "dvm")
}


@pytest.fixture
def files(tmp_path: Path) -> PolicyFiles:
    return PolicyFiles(tmp_path / "policy.d")


def write(files: PolicyFiles, name: str, text: str) -> Path:
    path = files.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def decide(policy: Policy, service: str, source: str = "work", target: str = "personal") -> Verdict:
    return policy.evaluate(service, "", source, target, SYSTEM)


# What Qubes' own default policies give, with our services.
DEFAULTS = [
    ("qubes.Filecopy", "work", "personal", "ask"),
    ("qubes.Filecopy", "work", "@adminvm", "ask"),
    ("qubes.OpenInVM", "work", "@dispvm", "allow"),
    ("qubes.OpenInVM", "work", "personal", "ask"),
    ("qubes.OpenURL", "work", "@dispvm", "allow"),
    ("qubes.OpenURL", "work", "@default", "ask"),
    ("qubes.StartApp", "work", "@dispvm", "allow"),
    ("qubes.StartApp", "work", "@dispvm:dvm", "ask"),
    ("qubes.StartApp", "work", "@adminvm", "deny"),
    ("qubes.VMShell", "work", "@dispvm", "allow"),
    ("qubes.VMShell", "work", "personal", "deny"),
    ("qubes.VMExec", "work", "@dispvm", "allow"),
    ("qubes.VMExec", "work", "@default", "deny"),
    ("qubes.VMRootShell", "work", "@dispvm", "deny"),
    ("qubes.ConnectTCP", "work", "personal", "deny"),
    ("qubes.ClipboardPaste", "work", "personal", "ask"),
    ("qubes.ClipboardPaste", "dom0", "personal", "ask"),
    ("qubes.ClipboardPaste", "work", "dom0", "deny"),
    ("qubes.ClipboardCopy", "work", "personal", "deny"),
    ("qubes.GetDate", "work", "@default", "allow"),
    ("qubes.Notifications", "work", "@default", "allow"),
    ("qubes.Notifications", "work", "personal", "deny"),
    ("something.Else", "work", "personal", "deny"),
]


@pytest.mark.parametrize(("service", "source", "target", "outcome"), DEFAULTS)
def test_without_files_the_default_policy_holds(
    files: PolicyFiles, service: str, source: str, target: str, outcome: str
) -> None:
    verdict = decide(files.load(), service, source, target)
    assert type(verdict).__name__.lower() == outcome


def test_what_the_host_serves_goes_to_the_host(files: PolicyFiles) -> None:
    for service in ("qubes.GetDate", "qubes.Notifications"):
        verdict = decide(files.load(), service, target="@default")
        assert isinstance(verdict, Allow)
        assert verdict.target == "@adminvm"


def test_a_domain_that_must_not_know_the_time_disturbs_nobody_when_it_starts(files: PolicyFiles) -> None:
    system = SYSTEM | {"anon": Subject("anon", "a", tags=frozenset({"anon-vm"}))}
    verdict = files.load().evaluate("qubes.GetDate", "", "anon", "@default", system)
    assert isinstance(verdict, Deny)
    assert not verdict.notify


def test_the_users_files_come_before_the_default_in_the_order_of_their_names(files: PolicyFiles) -> None:
    write(files, "99-last.policy", "qubes.Filecopy * work personal deny\n")
    assert isinstance(decide(files.load(), "qubes.Filecopy"), Deny)
    write(files, "30-user.policy", "qubes.Filecopy * work personal allow\n")
    write(files, "notes.txt", "no policy at all")
    write(files, ".hidden.policy", "nor this")
    assert isinstance(decide(files.load(), "qubes.Filecopy"), Allow)


def test_files_that_have_changed_are_read_again(files: PolicyFiles) -> None:
    path = write(files, "30-user.policy", "!include include/mine\n")
    write(files, "include/mine", "qubes.Filecopy * work personal deny \n")
    assert isinstance(decide(files.load(), "qubes.Filecopy"), Deny)
    # As long as before, at the same moment.
    write(files, "include/mine", "qubes.Filecopy * work personal allow\n")
    assert isinstance(decide(files.load(), "qubes.Filecopy"), Allow)
    path.unlink()
    assert isinstance(decide(files.load(), "qubes.Filecopy"), Ask)


def test_files_that_have_not_changed_are_not_read_again(files: PolicyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(files, "30-user.policy", "qubes.Filecopy * work personal allow\n")
    for place in (path, files.folder):
        os.utime(place, (1, 1))
    monkeypatch.setattr(policy_files, "_SETTLED_SECONDS", -3600.0)
    first = files.load()
    assert files.load() is first


class TestBroken:
    def test_only_what_is_denied_holds_besides_the_default(self, files: PolicyFiles) -> None:
        write(
            files,
            "30-user.policy",
            "qubes.Filecopy * work personal allow\n"
            "qubes.OpenURL * vault * deny\n"
            "qubes.OpenInVM * vault @dispvm denny\n"
            "my.Service * work personal allow\n",
        )
        policy = files.load()
        assert [str(fault) for fault in policy.faults] == [
            "30-user.policy:3: 'denny' is no action: use allow, ask or deny"
        ]
        assert isinstance(decide(policy, "qubes.Filecopy"), Ask)
        assert isinstance(decide(policy, "my.Service"), Deny)
        assert isinstance(decide(policy, "qubes.OpenURL", "vault", "@dispvm"), Deny)
        assert isinstance(decide(policy, "qubes.OpenURL", "work", "@dispvm"), Allow)
        # What the broken line meant is not known, so its service is denied to all.
        assert isinstance(decide(policy, "qubes.OpenInVM", "work", "@dispvm"), Deny)

    @pytest.mark.parametrize("name", ["Upper.policy", "with space.policy", "ümlaut.policy", "a\nb.policy"])
    def test_a_file_with_an_odd_name_is_named(self, files: PolicyFiles, name: str) -> None:
        write(files, name, "* * * * allow\n")
        (fault,) = files.load().faults
        assert fault.file == name
        assert "rename it" in fault.reason
        assert isinstance(decide(files.load(), "my.Service"), Deny)

    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda p: p.write_bytes(b"\xff\xfe"), "no text in UTF-8"),
            (lambda p: p.write_bytes(b"#" * (policy_files.MAX_FILE + 1)), "too large"),
            (lambda p: p.write_text("!include include/none\n"), "include/none cannot be read: there is no such file"),
        ],
        ids=["bytes", "size", "include"],
    )
    def test_what_cannot_be_read_is_told(self, files: PolicyFiles, make: object, reason: str) -> None:
        assert callable(make)
        files.folder.mkdir()
        make(files.folder / "30-user.policy")
        (fault,) = files.load().faults
        assert (fault.file, reason in fault.reason) == ("30-user.policy", True), fault

    def test_a_pipe_is_not_waited_for(self, files: PolicyFiles) -> None:
        files.folder.mkdir()
        os.mkfifo(files.folder / "pipe")
        write(files, "30-user.policy", "!include pipe\n")
        (fault,) = files.load().faults
        assert "no file" in fault.reason


class TestChanges:
    def test_a_file_is_written_and_read_with_its_token(self, files: PolicyFiles) -> None:
        token = files.replace("30-user", "qubes.Filecopy * work personal allow\n", NEW)
        assert files.read("30-user").text == "qubes.Filecopy * work personal allow\n"
        assert files.read("30-user").token == token
        assert files.names() == ["30-user"]
        assert isinstance(decide(files.load(), "qubes.Filecopy"), Allow)
        files.remove("30-user", token)
        assert files.names() == []

    def test_two_editors_do_not_overwrite_each_other(self, files: PolicyFiles) -> None:
        token = files.replace("30-user", "# one\n")
        files.replace("30-user", "# two\n", token)
        for change in (
            lambda: files.replace("30-user", "# three\n", token),
            lambda: files.remove("30-user", token),
            lambda: files.replace("30-user", "# three\n", NEW),
        ):
            with pytest.raises(Overtaken):
                change()
        assert files.read("30-user").text == "# two\n"

    def test_of_many_who_write_at_once_one_wins(self, files: PolicyFiles) -> None:
        token = files.replace("30-user", "# before\n")
        won: list[int] = []

        def change(number: int) -> None:
            try:
                PolicyFiles(files.folder).replace("30-user", f"# {number}\n", token)
                won.append(number)
            except Overtaken:
                pass

        threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert files.read("30-user").text == f"# {won[0]}\n"

    def test_a_change_that_breaks_the_set_is_refused(self, files: PolicyFiles) -> None:
        files.replace("include/mine", "qubes.Filecopy * work personal allow\n")
        files.replace("30-user", "!include include/mine\n")
        with pytest.raises(BrokenPolicy, match=r"30-user\.policy:1: 'maybe' is no action"):
            files.replace("30-user", "qubes.Filecopy * work personal maybe\n")
        with pytest.raises(BrokenPolicy, match="include/mine is to be removed, and something includes it"):
            files.remove("include/mine")
        assert files.load().faults == ()

    def test_a_set_that_is_broken_is_mended_file_by_file(self, files: PolicyFiles) -> None:
        write(files, "30-one.policy", "broken\n")
        write(files, "40-two.policy", "broken\n")
        with pytest.raises(BrokenPolicy):
            files.replace("50-three", "broken too\n")
        files.replace("30-one", "# whole\n")
        files.remove("40-two")
        assert files.load().faults == ()

    @pytest.mark.parametrize("name", ["", "../x", "a/b", "Upper", ".hidden", "include/", "include/../x", "include/.a"])
    def test_odd_names_are_refused(self, files: PolicyFiles, name: str) -> None:
        with pytest.raises(BadInput):
            files.replace(name, "# x\n")

    def test_what_is_not_there_is_not_found(self, files: PolicyFiles) -> None:
        for ask in (lambda: files.read("30-user"), lambda: files.remove("30-user", ANY)):
            with pytest.raises(NotFound):
                ask()

    def test_a_file_that_is_too_large_is_refused(self, files: PolicyFiles) -> None:
        with pytest.raises(Refused, match="at most"):
            files.replace("30-user", "#" * (policy_files.MAX_FILE + 1))


def test_the_files_about_a_service_are_named(files: PolicyFiles) -> None:
    files.replace("30-user", "* * vault * deny\n")
    files.replace("40-more", "qubes.OpenURL * work * deny\n")
    assert files.files_about("qubes.Filecopy") == ["30-user.policy", "90-default.policy"]
