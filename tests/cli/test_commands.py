"""The commands' own words, on the test driver."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.domains import write_domains

COMMANDS = Path(sys.executable).parent
ALL = [
    "qvm-ls qvm-create qvm-remove qvm-run qvm-start qvm-shutdown qvm-kill qvm-pause qvm-unpause qvm-check qvm-block",
    "qvm-tags qvm-features qvm-prefs qvm-clone qvm-volume qvm-pool qvm-template qvm-appmenus qvm-sync-appmenus",
    "qvm-console qvm-window-prefs qubes-prefs qubes-manager",
]
NAMES = " ".join(ALL).split()


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"test://{write_domains(tmp_path_factory.mktemp('cli') / 'ten.xml', 10)}"


def run(*words: object, data: str | None = None) -> subprocess.CompletedProcess[str]:
    name, *rest = map(str, words)
    return subprocess.run(
        [COMMANDS / name, *rest], input=data or "", capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0
    assert f"usage: {name}" in done.stdout
    assert run(name, "--version").stdout == f"{name} 0.1.0\n"
    assert run(name, "--nonsense").returncode == 2


@pytest.mark.parametrize("name", NAMES[:-1])
def test_no_command_imports_qt(name: str) -> None:
    module = f"qubes_manager.cli.{name.replace('-', '_')}"
    code = (
        f"import sys, {module}; import qubes_manager.cli.domain_list; print([m for m in sys.modules if 'PySide' in m])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_qvm_ls_formats_filters_and_sorts(uri: str) -> None:
    lines = run("qvm-ls", "-c", uri).stdout.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "CLASS", "LABEL", "TEMPLATE", "NETVM"]
    assert lines[1].split() == ["dom0", "Running", "AdminVM", "black", "-", "-"]
    assert lines[2].split() == ["domain-00000", "Halted", "AppVM", "red", "debian-12", "-"]
    assert len(lines) == 12
    assert run("qvm-ls", "-c", uri, "--raw-list", "--halted").stdout.split() == [
        f"domain-0000{i}" for i in (0, 2, 4, 6, 8)
    ]
    assert run("qvm-ls", "-c", uri, "--raw-data", "-O", "name,vcpus", "domain-00003").stdout == "domain-00003|2\n"
    assert run("qvm-ls", "-c", uri, "--raw-list", "--label", "red", "--class", "AppVM").stdout.split() == [
        "domain-00000",
        "domain-00008",
    ]
    reverse = run("qvm-ls", "-c", uri, "--raw-list", "--reverse").stdout.split()
    assert reverse[-2:] == ["domain-00000", "dom0"]
    assert run("qvm-ls", "-c", uri, "--raw-list", "--prefs", "label=blue").stdout == "domain-00005\n"
    assert run("qvm-ls", "-c", uri, "--running", "--exclude", "domain-00001", "--raw-list").stdout.count("\n") == 5
    for name in ("simple", "network", "kernel", "full", "prefs", "disk"):
        assert run("qvm-ls", "-c", uri, "--format", name).returncode == 0, name


def test_qvm_ls_draws_the_tree_of_networks() -> None:
    tree = run("qvm-ls", "-c", "test:///default", "--tree").stdout
    assert "test" in tree


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("qvm-ls", "nobody"), "qvm-ls: no such domain: nobody"),
        (("qvm-ls", "--fields", "size"), "qvm-ls: field: 'size' cannot be used; use some of NAME"),
        (("qvm-ls", "--prefs", "label"), "qvm-ls: prefs: 'label' cannot be used; use NAME=VALUE"),
        (("qvm-start", "nobody"), "qvm-start: no such domain: nobody"),
        (("qvm-prefs", "domain-00000", "memory", "lots"), "qvm-prefs: memory: 'lots' cannot be used; give a whole"),
        (("qvm-prefs", "domain-00000", "uuid", "x"), "qvm-prefs: uuid can only be read"),
        (("qvm-prefs", "domain-00000", "colour"), "qvm-prefs: property: 'colour' cannot be used; use one of"),
        (("qvm-prefs", "dom0", "label", "red"), "qvm-prefs: dom0 is this machine; it has no properties to set"),
        (("qvm-tags", "domain-00000", "add", "a b"), "qvm-tags: tag: 'a b' cannot be used"),
        (("qvm-create", "--label", "red", "x"), "qvm-create: template: '' cannot be used; an AppVM needs"),
        (("qvm-create", "--standalone", "--label", "red", "x"), "qvm-create: image: '' cannot be used; name a disk"),
        (("qvm-create", "--standalone", "--label", "pink", "x"), "qvm-create: label: 'pink' cannot be used; use one"),
        (("qvm-create", "--standalone", "--label", "red", "1x"), "qvm-create: name: '1x' cannot be used; use letters"),
        (("qvm-remove", "-f", "domain-00001"), "qvm-remove: “domain-00001” is running: shut it down first"),
        (("qvm-run", "dom0", "true"), "qvm-run: dom0 is this machine: run the command in a terminal"),
        (("qvm-block", "attach", "domain-00001", "sys-usb:sda"), "qvm-block: backend: 'sys-usb' cannot be used"),
        (("qvm-unpause", "domain-00001"), "qvm-unpause: “domain-00001” is not paused"),
    ],
)
def test_bad_input_gets_one_line_and_code_one(uri: str, words: tuple[str, ...], line: str) -> None:
    name, *rest = words
    done = run(name, "-c", uri, *rest)
    assert done.returncode == 1
    assert done.stderr.startswith(line), done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("qvm-start",),
        ("qvm-start", "--all", "x"),
        ("qvm-start", "--exclude", "x", "y"),
        ("qvm-create", "x"),
        ("qvm-create", "--label", "red"),
        ("qvm-run", "x"),
        ("qvm-run", "--service", "x", "y"),
        ("qvm-prefs",),
        ("qvm-prefs", "x", "--set"),
        ("qvm-features", "x", "--unset"),
        ("qvm-shutdown", "--timeout", "0", "x"),
    ],
)
def test_bad_usage_is_code_two(uri: str, words: tuple[str, ...]) -> None:
    name, *rest = words
    assert run(name, "-c", uri, *rest).returncode == 2


def test_a_host_that_is_not_there_is_one_line() -> None:
    done = run("qvm-ls", "-c", "qemu+unix:///session?socket=/no/such/socket")
    assert done.returncode == 1
    assert "libvirtd is not running there" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_reader_that_has_enough_is_no_error(uri: str) -> None:
    line = f"{COMMANDS / 'qvm-ls'} -c {uri} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_qvm_check_tells(uri: str) -> None:
    assert run("qvm-check", "-c", uri, "domain-00001").returncode == 0
    assert run("qvm-check", "-c", uri, "--running", "domain-00001").returncode == 0
    assert run("qvm-check", "-c", uri, "--running", "domain-00000").returncode == 1
    assert run("qvm-check", "-c", uri, "--template", "domain-00000").returncode == 1
    assert run("qvm-check", "-c", uri, "nobody").returncode == 1


def test_window_options_are_set_shown_and_taken_back(uri: str) -> None:
    prefs = "qvm-window-prefs", "-c", uri
    assert run(*prefs, "domain-00001", "allow_fullscreen").stdout == "False\n"
    assert run(*prefs, "global", "allow_fullscreen", "yes").returncode == 0
    assert run(*prefs, "domain-00001", "allow_fullscreen").stdout == "True\n"
    assert run(*prefs, "domain-00001", "allow_fullscreen", "False").returncode == 0
    assert run(*prefs, "domain-00001", "allow_fullscreen").stdout == "False\n"
    assert run(*prefs, "domain-00001", "--hide-default").stdout.split() == ["allow_fullscreen", "-", "False"]
    assert run(*prefs, "--default", "domain-00001", "allow_fullscreen").returncode == 0
    assert run(*prefs, "domain-00001", "--hide-default").stdout == ""
    for words, part in (
        (("border_width", "500"), "1 to 40"),
        (("allow_fullscreen", "perhaps"), "True or False"),
        (("colour", "red"), "use one of"),
    ):
        bad = run(*prefs, "global", *words)
        assert (bad.returncode, len(bad.stderr.splitlines())) == (1, 1)
        assert part in bad.stderr
    assert "no such domain" in run(*prefs, "nobody", "border_width", "5").stderr


def test_applications_that_are_not_known_yet_are_said_to_be_so(uri: str) -> None:
    done = run("qvm-appmenus", "-c", uri, "--update", "domain-00001")
    assert (done.returncode, done.stdout) == (1, "")
    assert "qvm-sync-appmenus asks for them" in done.stderr
    assert run("qvm-appmenus", "-c", uri, "--get-available", "domain-00001").stdout == ""
    missing = run("qvm-appmenus", "-c", uri, "--set-whitelist=/nonexistent", "domain-00001")
    assert (missing.returncode, "cannot be read" in missing.stderr) == (1, True)


def test_what_has_no_windows_starts_no_application(uri: str) -> None:
    assert run("qubes-manager", "run", "-c", uri, "domain-00001", "firefox").returncode == 1
    assert run("qubes-manager", "run", "-c", uri, "nobody", "firefox").returncode == 1
    assert "not running" in run("qvm-console", "-c", uri, "domain-00000").stderr
    refused = run("qvm-run", "-c", uri, "--gui", "domain-00001", "xterm")
    assert (refused.returncode, "has no session for windows" in refused.stderr) == (1, True)
