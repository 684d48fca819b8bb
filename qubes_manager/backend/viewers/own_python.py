"""Our own interpreter and what of Qt a viewer needs: which files these are, and where they are seen in the sandbox."""

import compileall
import functools
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from qubes_manager import viewers
from qubes_manager.core.errors import NotFound

# Where packages are found inside.
PACKAGES = "/app"
# Of PySide6: Qt without networks, databases, scripts and pictures' formats, and the two platforms.
_QT = (
    "__init__.py",
    "__pycache__",
    "support",
    "QtCore.*so",
    "QtGui.*so",
    "libpyside6.*so*",
    *(f"Qt/lib/libQt6{name}.so*" for name in ("Core", "Gui", "DBus", "XcbQpa", "WaylandClient", "WlShellIntegration")),
    # What the decorations that Qt draws on Wayland stand on.
    *(f"Qt/lib/libQt6{name}.so*" for name in ("OpenGL", "Svg")),
    "Qt/lib/libicu*.so*",
    "Qt/plugins/platforms/libqxcb.so",
    "Qt/plugins/platforms/libqwayland*.so",
    "Qt/plugins/platforminputcontexts/libcompose*.so",
    "Qt/plugins/wayland-decoration-client/*.so",
    "Qt/plugins/wayland-shell-integration/libxdg-shell.so",
)
_SHIBOKEN = ("__init__.py", "__pycache__", "*.so*")
# What it loads in the place of its own support for signatures; the first and the last version that this works with: at
# an argument of a wrong name 6.12 ends the viewer.
_SIGNATURES = "shiboken6/files.dir/shibokensupport/signature/loader.py"
_TRIED = ((6, 8), (6, 11))
# Is needed whole; where it is not installed it is not used.
_LZ4 = "lz4"


def compile_viewers(package: Path = Path(viewers.__file__).parent) -> None:
    """Have the bytecode of what viewers import on the disk, where that is this user's to write: they write nothing."""
    compileall.compile_dir(package, quiet=2)


def interpreter() -> str:
    """The interpreter's own file: that of a virtual environment is a link to it."""
    return str(Path(sys.executable).resolve())


def python_files() -> Iterator[Path]:
    """Files and folders of the interpreter that are not among the system's libraries; they keep their places."""
    yield Path(interpreter())
    # Not those of a virtual environment, which sysconfig names as soon as there is one.
    bases = {"installed_base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    places = {Path(sysconfig.get_path(name, vars=bases)).parent for name in ("stdlib", "platstdlib")}
    # An interpreter of its own brings its own libraries.
    yield from sorted(places - {Path("/usr/lib"), Path("/usr/lib64")})


def package_files() -> Iterator[tuple[Path, str]]:
    """Files and folders of Qt and what else a viewer imports, with their places inside; raises NotFound without Qt."""
    for name, patterns in (("PySide6", _QT), ("shiboken6", _SHIBOKEN)):
        folder = _place_of(name)
        if folder is None:
            raise NotFound("PySide6 is not installed: without it no windows can be shown")
        for pattern in patterns:
            for path in sorted(folder.glob(pattern)):
                yield path, f"{PACKAGES}/{name}/{path.relative_to(folder)}"
    if _TRIED[0] <= _version() <= _TRIED[1]:
        yield Path(viewers.__file__).with_name("signatures.py"), f"{PACKAGES}/{_SIGNATURES}"
    if place := _place_of(_LZ4):
        yield place, f"{PACKAGES}/{_LZ4}"


@functools.cache
def _version() -> tuple[int, ...]:
    """PySide6's version, its first two numbers; none where it is not told."""
    # Of those that load this many start no viewer, and it takes a while itself.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return tuple(map(int, version("shiboken6").split(".")[:2]))
    except (PackageNotFoundError, ValueError):
        return ()


def _place_of(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None
