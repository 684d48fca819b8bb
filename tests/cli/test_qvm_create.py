"""From what is typed to what is asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qubes_manager.cli import qvm_create
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainClass, DomainKey
from qubes_manager.services.making.creation import Creation

Asked = Callable[..., CreationRequest]


@pytest.fixture
def asked(host: str, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What a command line asks for; it is not made."""
    requests: list[CreationRequest] = []

    async def create(_self: Creation, uri: str, request: CreationRequest, **_options: Any) -> DomainKey:
        requests.append(request)
        return DomainKey(uri, "made")

    monkeypatch.setattr(Creation, "create", create)

    def ask(*words: str) -> CreationRequest:
        assert qvm_create.main(["-c", host, *words]) == 0
        return requests.pop()

    return ask


def prefer(name: str, value: str) -> None:
    from qubes_manager.services.assembly import Services

    Services.connecting(watch=False).defaults.set(name, value)


def test_without_options_it_is_an_appvm_of_the_users_defaults(asked: Asked) -> None:
    prefer("default_template", "debian")
    prefer("default_netvm", "none")
    prefer("default_pool", "fast")
    request = asked("-l", "red", "work2")
    assert (request.name, request.label, request.klass) == ("work2", "red", DomainClass.APP)
    assert (request.template, request.netvm, request.pool, request.image) == ("debian", "", "fast", None)


def test_what_is_said_wins_over_the_defaults(asked: Asked) -> None:
    prefer("default_template", "debian")
    prefer("default_pool", "fast")
    request = asked("-l", "red", "-t", "other", "--prop", "netvm=lan", "-p", "private=slow", "x")
    assert (request.template, request.netvm, request.pool, request.private_pool) == ("other", "lan", "fast", "slow")
    request = asked("-l", "red", "-P", "slow", "-p", "root=big", "x")
    assert (request.pool, request.private_pool) == ("big", "slow")
    # A system of its own takes none from the template that is the default.
    assert asked("-l", "red", "--standalone", "-r", "/x.img", "x").template == ""


def test_properties_are_read_as_what_they_are(asked: Asked) -> None:
    words = "memory=300 maxmem=900 vcpus=3 autostart=yes include_in_backups=False kernelopts=a=b label=green"
    properties = [part for word in words.split() for part in ("--prop", word)]
    request = asked("-t", "debian", *properties, "--prop", "netvm=None", "--private-size", "2G", "x")
    assert (request.memory, request.max_memory, request.vcpus) == (300, 900, 3)
    assert (request.autostart, request.include_in_backups, request.kernelopts) == (True, False, "a=b")
    assert (request.label, request.netvm, request.private_size) == ("green", "", 2 << 30)


def test_a_label_as_an_option_wins_over_one_as_a_property(asked: Asked) -> None:
    assert asked("-t", "debian", "-l", "red", "--prop", "label=green", "x").label == "red"


def test_an_image_is_copied_or_moved_and_has_the_checksum_of_its_list(asked: Asked, tmp_path: Path) -> None:
    image, sums = tmp_path / "system.img", tmp_path / "SHA256SUMS"
    sums.write_text(f"{'a' * 64}  system.img\n")
    request = asked("-l", "red", "--standalone", "-R", str(image), "--checksum-file", str(sums), "--cloud-init", "x")
    assert (request.klass, request.image, request.move) == (DomainClass.STANDALONE, image, True)
    assert (request.checksum, request.seed) == ("a" * 64, True)
    assert not asked("-l", "red", "-C", "TemplateVM", "-r", str(image), "x").move


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-C", "HVM"], "class: 'HVM' cannot be used; use one of AppVM"),
        (["--prop", "memory=63"], "memory: '63' cannot be used"),
        (["--prop", "vcpus=1e3"], "vcpus: '1e3' cannot be used"),
        (["--prop", "autostart=perhaps"], "autostart: 'perhaps' cannot be used; use True or False"),
        (["--prop", "colour=red"], "property: 'colour=red' cannot be used; use NAME=VALUE with one of memory"),
        (["--prop", "memory"], "property: 'memory' cannot be used"),
        (["-p", "kernel=fast"], "pool: 'kernel=fast' cannot be used; use root=POOL or private=POOL"),
        (["-p", "private="], "pool: 'private=' cannot be used"),
        (["--private-size", "much"], "private size: 'much' cannot be used"),
        (["-r", "/x.img", "--checksum-file", "/no/list"], "there is no file “/no/list”"),
        (["--disp"], "only an AppVM can be the template of disposables"),
        (["--disp", "--prop", "uuid=1"], "property: 'uuid' cannot be used; it cannot be set to 1"),
        (["--disp", "--prop", "memory"], "property: 'memory' cannot be used; use NAME=VALUE"),
    ],
)
def test_what_cannot_be_meant_is_said_in_one_line(
    host: str, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    assert qvm_create.main(["-c", host, "-l", "red", "-t", "debian", *words, "x"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line


def test_the_classes_are_explained_without_any_host(capsys: pytest.CaptureFixture[str]) -> None:
    assert qvm_create.main(["-c", "test:///no/such/host", "--help-classes"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "AppVM",
        "StandaloneVM",
        "TemplateVM",
        "DispVM",
    ]
