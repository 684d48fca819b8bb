"""What a viewer's interpreter brings, and what it leaves out."""

from pathlib import Path

from qubes_manager.backend.viewers.own_python import compile_viewers


def test_modules_that_a_viewer_imports_are_compiled_beforehand(tmp_path: Path) -> None:
    package = tmp_path / "viewers" / "inner"
    package.mkdir(parents=True)
    (package / "module.py").write_text("x = 1\n")
    compile_viewers(tmp_path / "viewers")
    assert [path.name.partition(".")[0] for path in package.glob("__pycache__/*.pyc")] == ["module"]


def test_what_cannot_be_compiled_or_written_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("x = (\n")
    compile_viewers(tmp_path)
    compile_viewers(tmp_path / "nowhere")
