"""What Qubes' documents show policies doing, told anew: each is a set of rules and what becomes of calls under them."""

import pytest

from qubes_manager.core.policy.evaluation import Allow, Ask, Deny, Policy
from qubes_manager.core.policy.parser import read_policy
from qubes_manager.core.policy.subject import Subject
from tests.core.policy.texts import Texts

SYSTEM = {
    subject.name: subject
    for subject in (
        Subject("dom0", klass="AdminVM"),
        Subject("work", "1", tags=frozenset({"work"}), default_dispvm="online-dvm", is_running=True),
        Subject("work-keys", "2", tags=frozenset({"work"})),
        Subject("mail", "3", default_dispvm="online-dvm", is_running=True),
        Subject("mail-archive", "4", is_running=True),
        Subject("untrusted", "5", default_dispvm="online-dvm", is_running=True),
        Subject("sys-net", "6", is_running=True),
        Subject("sys-tor", "7", is_running=True),
        Subject("anon", "8", tags=frozenset({"anon-vm"}), is_running=True),
        Subject("debian", "9", klass="TemplateVM"),
        Subject("online-dvm", "10", template_for_dispvms=True),
        Subject("offline-dvm", "11", template_for_dispvms=True),
        Subject("disp7", "12", klass="DispVM", template="online-dvm", is_running=True),
    )
}
# Name, files in their order, and calls: source, service, target, and what becomes of them.
EXAMPLES: list[tuple[str, dict[str, str], list[tuple[str, str, str, str]]]] = [
    (
        "a user's file comes before the one that is shipped",
        {
            "30-user.policy": "qubes.Filecopy * untrusted @anyvm deny",
            "90-default.policy": "qubes.Filecopy * @anyvm @anyvm ask",
        },
        [("untrusted", "qubes.Filecopy", "work", "deny"), ("work", "qubes.Filecopy", "untrusted", "ask")],
    ),
    (
        "a key that one domain keeps for others of its kind",
        {
            "30-user.policy": "qubes.Gpg * @tag:work @default allow target=work-keys\n"
            "qubes.Gpg * @tag:work work-keys allow\nqubes.Gpg * @anyvm @anyvm deny"
        },
        [
            ("work", "qubes.Gpg", "@default", "allow work-keys"),
            ("work", "qubes.Gpg", "work-keys", "allow work-keys"),
            ("work-keys", "qubes.Gpg", "work-keys", "deny"),
            ("mail", "qubes.Gpg", "work-keys", "deny"),
        ],
    ),
    (
        "links open in a disposable, whatever was named, and for one domain in one without a network",
        {
            "30-user.policy": "qubes.OpenURL * mail @anyvm allow target=@dispvm:offline-dvm\n"
            "qubes.OpenURL * @anyvm @anyvm allow target=@dispvm"
        },
        [
            ("mail", "qubes.OpenURL", "work", "allow @dispvm:offline-dvm"),
            ("work", "qubes.OpenURL", "@default", "allow @dispvm:online-dvm"),
            ("anon", "qubes.OpenURL", "@default", "deny"),
        ],
    ),
    (
        "updates of templates go through one network domain, those of tagged ones through another",
        {
            "40-tor.policy": "qubes.UpdatesProxy * @tag:anon-vm @default allow target=sys-tor",
            "90-default.policy": "qubes.UpdatesProxy * @type:TemplateVM @default allow target=sys-net\n"
            "qubes.UpdatesProxy * @anyvm @anyvm deny",
        },
        [
            ("debian", "qubes.UpdatesProxy", "@default", "allow sys-net"),
            ("anon", "qubes.UpdatesProxy", "@default", "allow sys-tor"),
            ("work", "qubes.UpdatesProxy", "@default", "deny"),
            ("debian", "qubes.UpdatesProxy", "sys-tor", "deny"),
        ],
    ),
    (
        "one port of one domain, and no other",
        {"30-user.policy": "qubes.ConnectTCP +993 mail @default allow target=sys-net\nqubes.ConnectTCP * * * deny"},
        [
            ("mail", "qubes.ConnectTCP+993", "@default", "allow sys-net"),
            ("mail", "qubes.ConnectTCP+25", "@default", "deny"),
            ("mail", "qubes.ConnectTCP", "@default", "deny"),
            ("work", "qubes.ConnectTCP+993", "@default", "deny"),
        ],
    ),
    (
        "a question with one answer at hand, and no domain that would have to be started for it",
        {
            "30-user.policy": "qubes.Filecopy * mail @default ask default_target=mail-archive\n"
            "qubes.Filecopy * mail @anyvm allow autostart=no"
        },
        [
            ("mail", "qubes.Filecopy", "@default", "ask (mail-archive)"),
            ("mail", "qubes.Filecopy", "work", "allow work"),
            ("mail", "qubes.Filecopy", "work-keys", "deny"),
        ],
    ),
    (
        "names of any kind are an argument, which may be denied by itself",
        {"30-user.policy": "qubes.Filecopy +allow-all-names * * deny\nqubes.Filecopy * @anyvm @anyvm ask"},
        [
            ("work", "qubes.Filecopy+allow-all-names", "mail", "deny"),
            ("work", "qubes.Filecopy", "mail", "ask"),
        ],
    ),
    (
        "disposables of one template reach nobody",
        {"30-user.policy": "* * @dispvm:online-dvm @anyvm deny\nqubes.Filecopy * @anyvm @anyvm ask"},
        [("disp7", "qubes.Filecopy", "work", "deny"), ("untrusted", "qubes.Filecopy", "work", "ask")],
    ),
    (
        "“any domain” leaves the host out, and “anything” does not",
        {"30-user.policy": "my.Show * @anyvm @anyvm allow\nmy.Log * * * allow"},
        [
            ("work", "my.Show", "dom0", "deny"),
            ("dom0", "my.Show", "work", "deny"),
            ("work", "my.Log", "@adminvm", "allow @adminvm"),
            ("dom0", "my.Log", "work", "allow work"),
        ],
    ),
    (
        "rules of one service in a file of their own",
        {
            "30-user.policy": "!include-service my.Backup * include/backup\n* * @anyvm @anyvm deny",
            "include/backup": "# who may be saved where\nwork mail-archive allow\n@anyvm mail-archive ask\n",
        },
        [
            ("work", "my.Backup", "mail-archive", "allow mail-archive"),
            ("untrusted", "my.Backup", "mail-archive", "ask"),
            ("work", "my.Other", "mail-archive", "deny"),
        ],
    ),
]


@pytest.mark.parametrize(("files", "calls"), [e[1:] for e in EXAMPLES], ids=[e[0] for e in EXAMPLES])
def test_an_example_does_what_is_written_of_it(files: dict[str, str], calls: list[tuple[str, str, str, str]]) -> None:
    reading = read_policy([path for path in files if path.endswith(".policy")], Texts(files))
    assert not reading.faults
    policy = Policy(reading.rules)
    for source, call, target, becomes in calls:
        service, _, argument = call.partition("+")
        match policy.evaluate(service, argument, source, target, SYSTEM):
            case Allow() as verdict:
                found = f"allow {verdict.target}"
            case Ask() as verdict:
                found = f"ask ({verdict.default_target})" if verdict.default_target else "ask"
            case Deny():
                found = "deny"
        assert (source, call, target, found) == (source, call, target, becomes)
