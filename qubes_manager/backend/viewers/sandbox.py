"""Runs the programs that show what guests draw apart from everything of the user's (bubblewrap)."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import qubes_manager
from qubes_manager.backend.host.host_facts import SYSTEM_PYTHON
from qubes_manager.backend.viewers.compositor import Way, way_to_compositor
from qubes_manager.backend.viewers.display import Display, Platform, display_of, x_display
from qubes_manager.backend.viewers.own_python import PACKAGES, interpreter, package_files, python_files
from qubes_manager.backend.viewers.programs import ViewerProgram
from qubes_manager.backend.viewers.seccomp import filter_file
from qubes_manager.core.errors import NotFound

_BWRAP = ("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv")
# Of our own package the viewers need these parts only.
_PARTS = ("__init__.py", "core", "viewers")
_KEYS = "/run/xauthority"
# Bytes that a viewer of GTK may write to its temporary folder, and may map of files: libraries, languages, icons.
_GTK_SCRATCH, _GTK_MAPPED = 16 << 20, 1 << 30

# What GTK reads of the system's settings.
_GTK_SETTINGS = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "fonts", "gtk-3.0", "alternatives", "localtime", "X11")
_GTK_LINKS = (("usr/lib", "/lib"), ("usr/lib64", "/lib64"), ("usr/bin", "/bin"), ("usr/sbin", "/sbin"))
_GTK_VARIABLES = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/run/home",
    "XDG_RUNTIME_DIR": "/run/user",
    "XAUTHORITY": _KEYS,
    "PYTHONPATH": PACKAGES,
    "PYTHONDONTWRITEBYTECODE": "1",
    # There is no bus in there to tell anybody about controls.
    "NO_AT_BRIDGE": "1",
}

# Libraries, fonts, keyboards and pointers are all that Qt needs of the system.
_QT_FILES = (
    *("/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/usr/share/zoneinfo"),
    *("/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/fontconfig", "/etc/fonts", "/var/cache/fontconfig"),
    *("/usr/share/X11", "/usr/share/icons"),
)
_QT_LINKS = (("usr/lib", "/lib"), ("usr/lib64", "/lib64"))
_QT_VARIABLES = {
    "HOME": "/nonexistent",
    "PYTHONPATH": PACKAGES,
    # Qt's own loop, and no bus; of what screen readers ask it knows nearly all.
    "QT_NO_GLIB": "1",
    "DBUS_SESSION_BUS_ADDRESS": "disabled:",
    "QT_LOGGING_RULES": "qt.accessibility.atspi=false",
}
# Of the user's environment: language, pointer, and which desktop it is.
_KEPT = ("LANG", "LC_ALL", "LC_CTYPE", "XCURSOR_THEME", "XCURSOR_SIZE", "XDG_CURRENT_DESKTOP")
_MOST_FILES = 256
# Where a viewer makes the pictures that a compositor reads from memory, and bytes of all of them: one of 4K has 33 MB.
_COMPOSITOR = "/run/wayland"
_PICTURES, _PICTURES_SIZE = "/run/pictures", 512 << 20
_READERS = "/run/readers"


@dataclass(frozen=True, slots=True)
class SandboxCommand:
    """A command line, and the descriptors that it has to inherit beside those of the program."""

    words: list[str]
    files: tuple[int, ...] = ()


def is_available() -> bool:
    """Whether programs can be run apart here."""
    return shutil.which("bwrap") is not None


@contextlib.contextmanager
def viewer_command(
    program: ViewerProgram,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
    readers: Way | None = None,
) -> Iterator[SandboxCommand]:
    """The command that runs a viewer on the screen of *environment*; its descriptors are open as long as the context.

    Screen readers may ask it where it has a way to them.
    Raises Refused without a screen on this machine, NotFound without bubblewrap or what the program needs,
    QubesManagerError when no screen answers.
    """
    if not is_available():
        raise NotFound("bubblewrap is not installed: without it what guests draw would not be kept apart")
    if not program.is_ours:
        with filter_file(is_ours=False) as rules:
            yield gtk_command(program, arguments, rules, environment)
        return
    display = display_of(environment)
    if display.platform is Platform.X11:
        with filter_file() as rules:
            yield windows_command(program, arguments, display, rules, None, environment, readers)
        return
    with filter_file() as rules, way_to_compositor(display.socket) as compositor:
        yield windows_command(program, arguments, display, rules, compositor, environment, readers)


def windows_command(
    program: ViewerProgram,
    arguments: Sequence[str],
    display: Display,
    rules: int,
    compositor: Way | None = None,
    environment: Mapping[str, str] = os.environ,
    readers: Way | None = None,
) -> SandboxCommand:
    """Return the command that runs a viewer of ours in its sandbox.

    It sees the *display*, X11's by its socket and Wayland's by the way *compositor*, the way to *readers* and the
    descriptors that it is started with; it writes to no file, starts no program and asks nothing else of the kernel
    than the filter allows that is read from *rules*. Raises NotFound without Qt.
    """
    variables = {**_QT_VARIABLES, "LANG": "C.UTF-8", "QT_QPA_PLATFORM": display.platform.value}
    variables |= {name: environment[name] for name in _KEPT if name in environment}
    binds = [
        *(("--ro-bind-try", path, path) for path in _QT_FILES),
        *(("--ro-bind", str(path), str(path)) for path in python_files()),
        *(("--ro-bind", str(path), place) for path, place in package_files()),
        *_own_package(),
        ("--dev-bind", "/dev/null", "/dev/null"),
    ]
    if display.platform is Platform.X11:
        binds += [("--ro-bind", display.socket, display.socket), ("--ro-bind-try", display.authority, _KEYS)]
        variables |= {"DISPLAY": display.name, "XAUTHORITY": _KEYS}
        writable: tuple[str, ...] = ()
    else:
        assert compositor
        binds.append(("--ro-bind", compositor.path, _COMPOSITOR))
        variables |= {"WAYLAND_DISPLAY": _COMPOSITOR, "XDG_RUNTIME_DIR": _PICTURES}
        writable = ("--perms", "0700", "--size", str(_PICTURES_SIZE), "--tmpfs", _PICTURES)
    if readers:
        binds.append(("--ro-bind", readers.path, _READERS))
        variables["AT_SPI_BUS_ADDRESS"] = f"unix:path={_READERS}"
    # Nothing of the user's Python takes part: no site packages, no current folder.
    python = (interpreter(), "-s", "-S", "-P", "-B", "-m", "qubes_manager.viewers.confined", program.module)
    words = [
        *_limited({"as": program.memory, "nofile": _MOST_FILES}),
        *_BWRAP,
        *_words(binds, _QT_LINKS, variables),
        *writable,
        *("--remount-ro", "/", "--chdir", "/", "--seccomp", str(rules), *python, *arguments),
    ]
    return SandboxCommand(words, (rules, *(way.lease for way in (compositor, readers) if way)))


def gtk_command(
    program: ViewerProgram, arguments: Sequence[str], rules: int, environment: Mapping[str, str] = os.environ
) -> SandboxCommand:
    """Return the command that runs a viewer of the system's Python in its sandbox.

    It sees the X server of *environment* and the descriptors that it is started with: no network, no home folder, no
    session bus, no other processes; it has no memory but what its limits count, and is held to the filter that is read
    from *rules*. Raises Refused without an X display on this machine.
    """
    display = x_display(environment)
    variables = {**_GTK_VARIABLES, "DISPLAY": display.name, "LANG": environment.get("LANG", "C.UTF-8")}
    binds = [
        ("--ro-bind", "/usr", "/usr"),
        ("--bind", display.socket, display.socket),
        ("--ro-bind-try", display.authority, _KEYS),
        *(("--ro-bind-try", f"/etc/{name}", f"/etc/{name}") for name in _GTK_SETTINGS),
        ("--ro-bind-try", "/var/cache/fontconfig", "/var/cache/fontconfig"),
        *_own_package(),
        *(("--dev-bind", device, device) for device in ("/dev/null", "/dev/urandom")),
    ]
    words = [
        *_limited({"data": program.memory, "as": _GTK_MAPPED + program.memory, "nofile": _MOST_FILES}),
        *_BWRAP,
        *("--proc", "/proc", "--size", str(_GTK_SCRATCH), "--tmpfs", "/tmp"),  # noqa: S108
        *("--perms", "0700", "--dir", "/run/user", "--dir", "/run/home"),
        *_words(binds, _GTK_LINKS, variables),
        # Bubblewrap's own folders are in memory, and as large as one likes.
        *("--remount-ro", "/", "--chdir", "/run/home", "--seccomp", str(rules)),
        *(SYSTEM_PYTHON, "-m", f"qubes_manager.viewers.{program.module}", *arguments),
    ]
    return SandboxCommand(words, (rules,))


def _own_package() -> list[tuple[str, str, str]]:
    package = Path(qubes_manager.__file__).parent
    return [("--ro-bind", str(package / part), f"{PACKAGES}/qubes_manager/{part}") for part in _PARTS]


def _limited(limits: Mapping[str, int]) -> list[str]:
    """What holds a command and all that it starts to *limits*, by prlimit's names."""
    return ["prlimit", *(f"--{name}={limit}" for name, limit in limits.items()), "--core=0", "--"]


def _words(
    binds: Sequence[tuple[str, str, str]], links: Sequence[tuple[str, str]], variables: Mapping[str, str]
) -> Iterator[str]:
    """Bubblewrap's options for what of the host's files is seen inside, and for the environment."""
    for bind in binds:
        yield from bind
    for link in links:
        yield from ("--symlink", *link)
    for variable in variables.items():
        yield from ("--setenv", *variable)
