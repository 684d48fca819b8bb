"""Services that need no more than pipes: each runs as a program of its own, as in a guest."""

import io
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from qubes_manager.core.crossing.file_messages import Offer, parse_file_message
from qubes_manager.core.crossing.listing import MAX_ENTRIES, FileKind, read_listing
from qubes_manager.guest.archive.unpacking import unpack
from tests.guest.domains import Domain
from tests.waiting import PATIENCE


@pytest.fixture
def work(tmp_path: Path) -> Domain:
    """The domain that serves."""
    home = tmp_path / "home"
    home.mkdir()
    return Domain(home)


def serve(work: Domain, module: str, data: bytes = b"", argument: str = "") -> "subprocess.CompletedProcess[bytes]":
    """Run a service to its end."""
    process = work.start(module, [argument] if argument else [])
    stdout, stderr = process.communicate(data, timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def test_a_folder_is_listed(work: Domain) -> None:
    (work.home / "sub").mkdir()
    (work.home / "file").write_bytes(b"x" * 300)
    os.utime(work.home / "file", (0, 1_700_000_000))
    (work.home / "link").symlink_to("sub")
    (work.home / "lost").symlink_to("nowhere")
    os.mkfifo(work.home / "pipe")
    (work.home / os.fsdecode(b"\xff\n")).write_text("")
    listing = read_listing(serve(work, "list_files").stdout)
    assert listing.path == str(work.home)
    kinds = {entry.name: entry.kind for entry in listing.entries}
    assert kinds == {
        "sub": FileKind.FOLDER,
        "file": FileKind.FILE,
        "link": FileKind.FOLDER,
        "pipe": FileKind.OTHER,
        os.fsdecode(b"\xff\n"): FileKind.FILE,
    }
    [entry] = [entry for entry in listing.entries if entry.name == "file"]
    assert (entry.size, entry.changed) == (300, 1_700_000_000)
    assert read_listing(serve(work, "list_files", b"sub\n").stdout).entries == ()


def test_a_folder_of_very_many_is_listed_as_far_as_it_may(work: Domain) -> None:
    for number in range(MAX_ENTRIES + 1):
        (work.home / f"{number}").touch()
    listing = read_listing(serve(work, "list_files").stdout)
    assert listing.is_cut
    assert len(listing.entries) == MAX_ENTRIES


@pytest.mark.parametrize("path", [b"missing", b"x" * 5000, b"a\0b"], ids=range(3))
def test_what_is_no_folder_is_not_listed(path: bytes, work: Domain) -> None:
    done = serve(work, "list_files", path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr


def test_files_are_fetched_by_name(work: Domain, tmp_path: Path) -> None:
    (work.home / "a").write_text("A")
    (tmp_path / "b\nc").write_text("BC")
    done = serve(work, "file_fetch", b"a\0" + os.fsencode(tmp_path / "b\nc") + b"\0missing\0")
    assert done.returncode == 1
    assert b"missing: No such file" in done.stderr
    stream = io.BytesIO(done.stdout)
    offer = parse_file_message(stream.readline())
    assert offer == Offer(3, 2)
    target = tmp_path / "target"
    target.mkdir()
    assert unpack(stream.read, target, Offer(3, 2), all_names=True).names == ("a", "b\nc")


def test_a_command_is_run_by_its_words(work: Domain) -> None:
    assert serve(work, "vm_exec", argument="printf+-25s-0A+a-20b+-24HOME").stdout == b"a b\n$HOME\n"
    assert serve(work, "vm_exec", b"through", "cat").stdout == b"through"
    assert serve(work, "vm_exec", argument="sh+--c+exit-207").returncode == 7
    assert serve(work, "vm_exec", argument="no--such--program").returncode == 127
    assert serve(work, "vm_exec", argument="not;encoded").returncode == 127


def test_the_shell_reads_its_commands(work: Domain) -> None:
    work.environment["SHELL"] = "/bin/sh"
    (work.home / ".profile").write_text("GREETING=hello\n")
    done = serve(work, "vm_shell", b"echo $GREETING $0\nexit 3\n")
    assert (done.returncode, done.stdout) == (3, b"hello -sh\n")


def test_a_port_of_this_domain_is_joined(work: Domain) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)

        def answer() -> None:
            connection = server.accept()[0]
            with connection:
                data = b""
                while part := connection.recv(1000):
                    data += part
                connection.sendall(data.upper())

        thread = threading.Thread(target=answer)
        thread.start()
        done = serve(work, "connect_tcp", b"x" * 300_000, str(server.getsockname()[1]))
        thread.join()
    assert (done.returncode, done.stdout) == (0, b"X" * 300_000)


@pytest.mark.parametrize("argument", ["", "0", "65536", "example.org", "1.1.1.1+80", "²", "-1"])
def test_no_other_machine_can_be_named(argument: str, work: Domain) -> None:
    done = serve(work, "connect_tcp", argument=argument)
    assert done.returncode == 1
    assert b"use a number from 1 to 65535" in done.stderr


def test_a_port_that_nobody_listens_at_is_said(work: Domain) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert b"refused" in serve(work, "connect_tcp", argument=str(port)).stderr
