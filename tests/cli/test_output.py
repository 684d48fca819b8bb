"""What commands print when names, notes and errors come from somebody who means harm."""

import contextlib
import importlib
import io
import os
import re
import subprocess
from pathlib import Path

import pytest

from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.cli.output import HarmlessStream, encodable
from qubes_manager.core.domain import DomainConfig
from qubes_manager.core.labels import LABELS
from tests.cli.conftest import COMMANDS, run
from tests.driver import write_host
from tests.waiting import PATIENCE

# C1's CSI, a bidi override and its end, a zero-width space, a line separator, a blank letter.
HOSTILE = "a\x9b31mb\u202egpj\u2069\u200bc\u2028d\u3164e"
WIDE, MARKED = "日本語-work", "e\u0301te\u0301"
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u034f\u061c\u115f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff]"
)


@pytest.fixture
def hostile(tmp_path: Path) -> str:
    """Domains with names that steer terminals, or take more or fewer places than letters; all their texts do too."""
    config = DomainConfig(
        label=LABELS["red"],
        notes=HOSTILE,
        tags=frozenset({HOSTILE}),
        features=((HOSTILE, f"{HOSTILE}\nx"), ("z", HOSTILE)),
        kernelopts=HOSTILE,
    )
    return write_host(tmp_path, [NewDomain(name, config) for name in (HOSTILE, WIDE, MARKED, "plain")])


@pytest.mark.parametrize(
    "words",
    [
        ("qvm-ls",),
        ("qvm-ls", "--tree"),
        ("qvm-ls", "--raw-list"),
        ("qvm-ls", "--raw-data", "-O", "name,tags,kernelopts,netvm,template"),
        ("qvm-ls", "-O", "name,tags,kernelopts"),
        ("qvm-ls", HOSTILE),
        ("qvm-ls", f"no{HOSTILE}\x1b]0;x\x07"),
        ("qvm-ls", f"--{HOSTILE}"),
        ("qvm-ls", "--sort", HOSTILE),
        ("qvm-prefs", HOSTILE),
        ("qvm-prefs", HOSTILE, "notes"),
        ("qvm-prefs", HOSTILE, HOSTILE),
        ("qvm-prefs", HOSTILE, "label", HOSTILE),
        ("qvm-tags", HOSTILE),
        ("qvm-tags", HOSTILE, "del", f"x{HOSTILE}"),
        ("qvm-features", HOSTILE),
        ("qvm-features", HOSTILE, HOSTILE),
        ("qvm-check", HOSTILE),
        ("qvm-check", "--running", HOSTILE),
        ("qvm-volume", "ls"),
        ("qvm-volume", "info", f"{HOSTILE}:root"),
        ("qvm-block", "ls"),
        ("qvm-block", "attach", HOSTILE, f"dom0:/{HOSTILE}"),
        ("qvm-pool", "info", HOSTILE),
        ("qvm-start", HOSTILE, f"{HOSTILE}x"),
        ("qvm-shutdown", "--wait", "--timeout", "1", HOSTILE),
        ("qvm-create", "--label", HOSTILE, "x"),
        ("qvm-create", "--standalone", "--label", "red", "--root-copy-from", f"/no/{HOSTILE}", "x"),
        ("qvm-clone", HOSTILE, HOSTILE),
        ("qvm-remove", "-f", f"{HOSTILE}x"),
        ("qvm-run", f"{HOSTILE}x", "x"),
        ("qvm-appmenus", "--update", HOSTILE),
        ("qvm-window-prefs", "global", HOSTILE),
        ("qvm-console", HOSTILE),
        ("qvm-template", "ls", HOSTILE),
    ],
    ids=lambda words: " ".join(words).encode("ascii", "ignore").decode(),
)
def test_nothing_of_a_name_note_or_error_steers_the_terminal(
    hostile: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    name, *rest = words
    command = importlib.import_module(f"qubes_manager.cli.{name.replace('-', '_')}")
    # What is wrong with the words themselves ends the parser.
    with contextlib.suppress(SystemExit):
        command.main(["-c", hostile, *rest])
    said = "".join(capsys.readouterr())
    assert not UNSAFE.search(said.replace("\n", "")), ascii(said)
    assert "Traceback" not in said
    assert "a fault of this program" not in said


def test_what_was_hidden_is_written_out(hostile: str) -> None:
    assert r"a\x9b31mb\u202egpj\u2069\u200bc\u2028d\u3164e" in run("qvm-ls", "-c", hostile).stdout


def test_columns_stand_below_each_other_for_wide_and_combining_characters(hostile: str) -> None:
    head, *lines = run("qvm-ls", "-c", hostile, "-O", "name,label", WIDE, MARKED, "plain").stdout.splitlines()
    # Three wide characters take a place more each; an accent of its own takes none.
    moved = {line.split()[0]: line.index("red") - head.index("LABEL") for line in lines}
    assert moved == {WIDE: -3, MARKED: 2, "plain": 0}


@pytest.mark.parametrize(
    ("encoding", "words"),
    [("ascii", ("qvm-ls",)), ("latin-1", ("qvm-ls", "--tree")), ("ascii", ("qvm-start", "nobody"))],
)
def test_no_encoding_of_the_terminal_is_too_small(hostile: str, encoding: str, words: tuple[str, ...]) -> None:
    name, *rest = words
    done = subprocess.run(
        [COMMANDS / name, "-c", hostile, *rest],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert (done.stdout + done.stderr).decode(encoding)
    # Aligned by what the terminal shows in the end.
    if words == ("qvm-ls",) and encoding == "ascii":
        head, *lines = done.stdout.decode().splitlines()
        assert {line[head.index("CLASS") :].split()[0] for line in lines} == {"AdminVM", "StandaloneVM"}


def test_words_that_are_no_text_are_refused_in_one_line(hostile: str) -> None:
    for command in (["qvm-ls"], ["qvm-tags", "plain", "add"], ["qvm-prefs", "plain", "notes"]):
        name, *rest = command
        words = [os.fsencode(COMMANDS / name), b"-c", hostile.encode(), *map(os.fsencode, rest), b"\xff\xfe"]
        done = subprocess.run(words, capture_output=True, timeout=PATIENCE, check=False)
        assert done.returncode == 1, name
        assert b"Traceback" not in done.stderr
        assert b"fault of this program" not in done.stderr, done.stderr
        assert done.stderr.count(b"\n") == 1
        done.stderr.decode()


@pytest.mark.parametrize(
    ("words", "redirection"),
    [
        ("qvm-ls -c HOST", "| true"),
        ("qvm-ls -c HOST", ">&-"),
        ("qvm-ls --help-columns", "| true"),
        ("qvm-ls --help", "| true"),
        ("qvm-prefs --help-properties", "| true"),
        ("qvm-prefs -c HOST dom0", ">/dev/full 2>&1"),
        ("qvm-ls nobody -c HOST", ">&- 2>&-"),
    ],
)
def test_an_output_that_takes_nothing_is_no_traceback(hostile: str, words: str, redirection: str) -> None:
    line = f"{COMMANDS}/{words.replace('HOST', hostile)} {redirection}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.stderr.count("\n") <= 1


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["at the end", "at once"])
def test_a_disk_that_is_full_is_said(hostile: str, unbuffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [COMMANDS / "qvm-tags", "-c", hostile, "plain"],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr == "qvm-tags: the output cannot be written: No space left on device\n"
    assert done.returncode == 1


def test_our_own_signs_become_plainer_ones() -> None:
    assert encodable("“é” …", "ascii") == '"\\xe9" ...'
    assert encodable("“é” …", "latin-1") == '"é" ...'
    assert encodable("“é” …", "utf-8") == "“é” …"


def test_a_harmless_stream_is_the_stream_below_otherwise() -> None:
    below = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    stream = HarmlessStream(below)
    assert stream.write("\x1b[2J\udcff…\n") == 7
    assert stream.buffer.getvalue() == b"\\x1b[2J\\udcff...\n"
    assert not stream.isatty()
