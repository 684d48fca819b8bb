"""The guest tools as files: complete, and the same each time."""

import io
import subprocess
import tarfile
from pathlib import Path

from qubes_manager.backend.guests.guest_tools import LIST, python_folder, tool_files, tools_digest
from qubes_manager.backend.guests.tools_archive import tools_archive


def test_whatever_a_guest_imports_is_there(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(tools_archive())) as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / python_folder()
    modules = [
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        for path in folder.rglob("*.py")
    ]
    assert "qubes_manager.guest.crossing.daemon" in modules
    # The system's own Python knows nothing of ours.
    look = f"import sys, importlib; sys.path.insert(0, {str(folder)!r}); [*map(importlib.import_module, {modules!r})]"
    done = subprocess.run(["/usr/bin/python3", "-I", "-c", look], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_of_the_host_goes_along() -> None:
    modules = {place.removeprefix(f"{python_folder()}/qubes_manager/") for place in tool_files()}
    assert "core/json_lines.py" in modules
    assert not [place for place in modules if place.startswith(("backend", "services", "ui", "cli", "viewers"))]
    assert not {"core/policy/parser.py", "core/domain.py", "guest/debian/launcher.py"} & modules


def test_commands_find_the_modules_of_their_own_version() -> None:
    command = tool_files()["usr/bin/qvm-copy"]
    assert command.mode == 0o755
    assert f'sys.path.insert(0, "/usr/lib/qubes-manager/python-{tools_digest()}")' in command.data.decode()
    compile(command.data, "qvm-copy", "exec")


def test_the_list_says_which_version_it_is_and_all_that_belongs_to_it() -> None:
    digest, *places = tool_files()[LIST].data.decode().splitlines()
    assert digest == tools_digest()
    assert set(places) == set(tool_files())
    assert not [place for place in places if place.startswith("/")]


def test_the_archive_is_the_same_each_time() -> None:
    assert tools_archive() == tools_archive()
    with tarfile.open(fileobj=io.BytesIO(tools_archive())) as archive:
        assert {member.name: member.mode for member in archive} == {p: f.mode for p, f in tool_files().items()}
