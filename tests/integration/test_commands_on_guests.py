"""The qvm-* commands on a real guest."""

import hashlib
import secrets
import signal
import subprocess
from pathlib import Path

import pytest

from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import DomainKey
from tests.integration.conftest import COMMANDS, Guest, Run
from tests.waiting import PATIENCE, shell_wait

pytestmark = pytest.mark.guest


def test_qvm_ls_shows_the_running_guest_with_its_label(run: Run, guest: Guest) -> None:
    done = run("qvm-ls", "--raw-data", "--fields", "name,state,class,label", guest.name)
    assert done.stdout == "shared|Running|StandaloneVM|green\n", done.stderr


@pytest.mark.parametrize(("command", "code"), [("true", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_qvm_run_passes_on_the_exit_code(run: Run, guest: Guest, command: str, code: int) -> None:
    assert run("qvm-run", guest.name, command).returncode == code


def test_qvm_run_connects_all_three_streams(run: Run, guest: Guest) -> None:
    done = run("qvm-run", "--pass-io", guest.name, "cat; echo trouble >&2; exit 3", data="one\ntwo\n")
    assert (done.stdout, done.stderr, done.returncode) == ("one\ntwo\n", "trouble\n", 3)


def test_qvm_run_shows_nothing_without_pass_io(run: Run, guest: Guest) -> None:
    done = run("qvm-run", guest.name, "echo hidden; echo hidden >&2")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_qvm_run_passes_more_than_one_chunk_each_way(run: Run, guest: Guest) -> None:
    text = secrets.token_hex(400_000)
    done = run("qvm-run", "--pass-io", guest.name, "cat", data=text)
    assert hashlib.sha256(done.stdout.encode()).digest() == hashlib.sha256(text.encode()).digest()


def test_qvm_run_is_user_by_default_and_root_when_asked(run: Run, guest: Guest) -> None:
    assert run("qvm-run", "-p", guest.name, "id -un").stdout == "user\n"
    assert run("qvm-run", "-p", "-u", "root", guest.name, "id -un").stdout == "root\n"


def test_qvm_run_keeps_words_whole_without_a_shell(run: Run, guest: Guest) -> None:
    done = run("qvm-run", "-p", "--no-shell", guest.name, "echo", "$HOME; 'a  b'")
    assert done.stdout == "$HOME; 'a  b'\n"


def test_qvm_run_strips_escapes_when_asked(run: Run, guest: Guest) -> None:
    hostile = r"printf 'a\033]0;owned\007b\033[31mc\n'"
    assert run("qvm-run", "-p", "--filter-escape-chars", guest.name, hostile).stdout == "abc\n"
    assert "\x1b" in run("qvm-run", "-p", guest.name, hostile).stdout


def test_qvm_run_leaves_no_files_in_the_guest(run: Run, guest: Guest) -> None:
    run("qvm-run", "-p", guest.name, "cat", data="x")
    assert (
        run("qvm-run", "-p", "-u", "root", guest.name, shell_wait("[ $(ls /run | grep -c qubes) = 1 ]")).returncode == 0
    )


@pytest.mark.parametrize("user", ["user", "root"])
def test_an_interrupted_command_ends_in_the_guest_too(daemon: PrivateDaemon, run: Run, guest: Guest, user: str) -> None:
    command = "sleep 987 & while :; do echo yes; done"
    words: list[str | Path] = [
        COMMANDS / "qvm-run",
        "-c",
        daemon.uri,
        "-p",
        "-u",
        user,
        guest.name,
        command,
    ]

    def hear_ctrl_c() -> None:
        # Who runs these tests in the background of a shell leaves it ignored.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(words, stdout=subprocess.PIPE, preexec_fn=hear_ctrl_c) as running:
        try:
            assert running.stdout
            assert running.stdout.read(4) == b"yes\n"
            running.send_signal(signal.SIGINT)
            running.stdout.read()
            assert running.wait(PATIENCE) == 130
        finally:
            running.kill()
    look = shell_wait("! pgrep -f 'sleep 98[7]|echo ye[s]' >/dev/null")
    assert run("qvm-run", "-u", "root", guest.name, look).returncode == 0


def test_qvm_run_says_so_when_the_domain_does_not_run(run: Run, fresh: DomainKey) -> None:
    done = run("qvm-run", "--no-autostart", "fresh", "true")
    assert done.returncode == 1
    assert done.stderr == "qvm-run: “fresh” is not running\n"


def test_a_domain_goes_through_its_life_by_commands(run: Run, fresh: DomainKey) -> None:
    assert run("qvm-check", "--running", "fresh").returncode == 1
    assert run("qvm-start", "fresh").returncode == 0
    assert run("qvm-check", "--running", "fresh").returncode == 0
    assert run("qvm-start", "fresh").returncode == 1
    assert run("qvm-start", "--skip-if-running", "fresh").returncode == 0
    assert run("qvm-pause", "fresh").returncode == 0
    assert run("qvm-check", "--paused", "fresh").returncode == 0
    assert run("qvm-unpause", "fresh").returncode == 0
    assert run("qvm-remove", "-f", "fresh").stderr == "qvm-remove: “fresh” is running: shut it down first\n"
    assert run("qvm-run", "fresh", "true").returncode == 0
    assert run("qvm-shutdown", "--wait", "--timeout", "120", "fresh").returncode == 0
    assert run("qvm-check", "--running", "fresh").returncode == 1
    assert run("qvm-start", "fresh").returncode == 0
    assert run("qvm-kill", "fresh").returncode == 0
    refused = run("qvm-remove", "fresh", data="n\n")
    assert refused.returncode == 1
    assert run("qvm-check", "fresh").returncode == 0
    assert run("qvm-remove", "fresh", data="y\n").returncode == 0
    assert run("qvm-check", "fresh").returncode == 1


def test_tags_features_and_properties_are_kept_by_libvirt(run: Run, fresh: DomainKey) -> None:
    assert run("qvm-tags", "fresh", "add", "b", "a").returncode == 0
    assert run("qvm-tags", "fresh").stdout == "a\nb\n"
    assert run("qvm-tags", "fresh", "del", "b").returncode == 0
    assert run("qvm-tags", "fresh", "list", "b").returncode == 1
    assert run("qvm-features", "fresh", "menu", "short & <sweet>").returncode == 0
    assert run("qvm-features", "fresh", "menu").stdout == "short & <sweet>\n"
    assert run("qvm-prefs", "fresh", "memory", "300").returncode == 0
    assert run("qvm-prefs", "fresh", "memory").stdout == "300\n"
    assert run("qvm-prefs", "fresh", "label", "purple").returncode == 0
    assert run("qvm-prefs", "fresh", "autostart", "True").returncode == 0
    assert run("qvm-prefs", "fresh", "autostart").stdout == "True\n"
    wrong = run("qvm-prefs", "fresh", "label", "pink")
    assert wrong.returncode == 1
    assert "'pink' cannot be used; use one of red, orange" in wrong.stderr
    done = run("qvm-ls", "--raw-list", "--tags", "a", "--label", "purple")
    assert done.stdout == "fresh\n"


def test_an_image_is_read_in_the_guest_as_a_usb_drive(run: Run, guest: Guest, shared_folder: Path) -> None:
    image = shared_folder / "stick.img"
    image.write_bytes(secrets.token_bytes(3 << 20))
    done = run("qvm-block", "attach", "--ro", guest.name, f"dom0:{image}")
    assert done.returncode == 0, done.stderr
    assert str(image) in run("qvm-block", "list", guest.name).stdout
    look = shell_wait("[ -b /dev/sda ]") + '; sha256sum </dev/sda | cut -d" " -f1'
    inside = run("qvm-run", "-p", "-u", "root", guest.name, look)
    assert inside.stdout.strip() == hashlib.sha256(image.read_bytes()).hexdigest()
    again = run("qvm-block", "attach", guest.name, f"dom0:{image}")
    assert again.returncode == 1
    assert "has" in again.stderr and "already" in again.stderr
    done = run("qvm-block", "detach", guest.name, f"dom0:{image}")
    assert done.returncode == 0, done.stderr
    assert run("qvm-run", "-u", "root", guest.name, shell_wait("! [ -e /dev/sda ]")).returncode == 0
