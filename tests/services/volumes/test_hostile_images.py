"""What the tools open of the host while they look into images of strangers, told by strace."""

import re
import stat
from pathlib import Path

import pytest

from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.services.volumes.image_import import ready_image
from tests.hostile_images import write_corpus

# Of the host the sandbox shows the system's programs; the rest are kernels' own file systems, and its own set-up.
SYSTEM = re.compile(
    r"(/newroot|/oldroot)?/(usr|lib|lib64|proc|sys|dev|etc/ld\.so\.cache)(/.*)?|/newroot.*|/oldroot/?|/|/tmp"
)
OPENED = re.compile(r"(?:open|openat|openat2|creat)\(.*\) = \d+<(.*)>")
STRACE = """#!/bin/sh
exec strace -ff -y -qq -s 4096 -e trace=open,openat,openat2,creat,connect -o "{traces}/trace" /usr/bin/bwrap "$@"
"""


class Tracer:
    """Runs each sandbox below strace."""

    def __init__(self, folder: Path) -> None:
        self._traces = folder / "traces"
        self._traces.mkdir()
        self.programs = folder / "bin"
        self.programs.mkdir()
        wrapper = self.programs / "bwrap"
        wrapper.write_text(STRACE.format(traces=self._traces))
        wrapper.chmod(0o755)

    def lines(self) -> list[str]:
        """What was traced since the last time."""
        found = []
        for trace in sorted(self._traces.iterdir()):
            found += trace.read_text("utf-8", "replace").splitlines()
            trace.unlink()
        return found


@pytest.fixture
def tracer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracer:
    tracer = Tracer(tmp_path)
    monkeypatch.setenv("PATH", f"{tracer.programs}:/usr/bin:/usr/sbin")
    monkeypatch.setenv("QUBES_MANAGER_SCRATCH", str(tmp_path))
    return tracer


def opened_besides(lines: list[str], *given: Path) -> list[str]:
    """The files that were opened, but for the system's own and those that were *given*."""
    paths = [match[1] for line in lines if (match := OPENED.search(line))]
    return [path for path in paths if not SYSTEM.fullmatch(path) and Path(path) not in given]


async def test_no_image_of_a_corpus_has_another_file_opened(tmp_path: Path, tracer: Tracer) -> None:
    canary = tmp_path / "canary-0e4f"
    canary.write_bytes(b"of the user".ljust(1 << 20, b"\0"))
    corpus = write_corpus(tmp_path, canary)
    assert len(corpus) >= 60
    connected, besides, let_in, traced = [], {}, {}, 0
    for name, path in corpus.items():
        try:
            async with ready_image(path) as ready:
                let_in[name] = ready.file.read()
        except QubesManagerError as error:
            assert str(error).isprintable(), name
            assert "Traceback" not in error.details
        lines = tracer.lines()
        traced += bool(lines)
        connected += [line for line in lines if line.startswith("connect(") and line.endswith(" = 0")]
        made = [
            Path(opened) for opened in opened_besides(lines) if opened.startswith(f"{tmp_path}/qubes-manager-import-")
        ]
        if found := opened_besides(lines, path, *made):
            besides[name] = found
    assert (besides, connected) == ({}, [])
    # What is known for hostile by its header needs no tool; the rest was looked into, and traced.
    assert traced >= 30
    # Some of the errors harm nothing, and a description that is taken for raw is bytes.
    assert all("with errors" in name or "boot sector" in name for name in let_in), sorted(let_in)
    assert not any(b"of the user" in data for data in let_in.values())


async def test_the_trace_would_show_it(tmp_path: Path, tracer: Tracer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same look without the sandbox opens the file that an image names."""
    canary = tmp_path / "canary-0e4f"
    canary.write_bytes(bytes(1 << 20))
    image = write_corpus(tmp_path, canary)["vmdk that is a description of path"]
    outside = tracer.programs / "bwrap"
    script = 'while [ "$1" != -- ]; do shift; done; shift\nexec strace -ff'
    outside.write_text(outside.read_text().replace("exec strace -ff", script).replace("/usr/bin/bwrap ", ""))
    assert outside.stat().st_mode & stat.S_IXUSR
    with pytest.raises(Refused):
        async with ready_image(image):
            pass
    assert str(canary) in opened_besides(tracer.lines())


REFERRING: list[tuple[str, str]] = [
    ("qcow2 above path", r"refers to another file, “\S*canary”"),
    ("qcow2 above json", r"refers to another file, “json:"),
    ("qcow2 above nbd", r"refers to another file, “nbd:"),
    ("old qcow2 above path", r"refers to another file, “\S*canary”"),
    ("qcow2 with data in path", r"refers to another file, “\S*canary”"),
    ("qcow2 with data in a file without a name", "refers to another file, “a file that it does not name”"),
    ("qed above path", r"refers to another file, “\S*canary”"),
    ("vmdk with a parent path", "canary"),
    ("vmdk that is a description of path", "canary"),
    ("vmdk whose parent is not there", "holds only what differs from a parent image"),
    ("description of monolithicFlat in path", "it only describes a VMDK whose data are in other files"),
    ("vdi with a parent", "parent"),
    ("vdi with a link", "link"),
    ("vdi of differences", "holds only what differs from a parent image"),
    ("vhdx with a parent", "cannot be used as vhdx"),
    ("vpc of differences", "it is a VHD"),
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("corpus")
    return write_corpus(folder, folder / "canary")


@pytest.mark.parametrize(("which", "reason"), REFERRING, ids=[which for which, _reason in REFERRING])
async def test_a_reference_is_refused_by_name(corpus: dict[str, Path], which: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        async with ready_image(corpus[which]):
            raise AssertionError("it was let in")
