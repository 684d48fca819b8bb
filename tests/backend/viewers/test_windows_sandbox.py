"""What a viewer of ours could do if a guest had taken it over: the sandbox is the real one, the program a test's."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_facts import sandbox_trouble
from qubes_manager.backend.viewers import own_python
from qubes_manager.backend.viewers.programs import ViewerProgram
from qubes_manager.backend.viewers.sandbox import viewer_command
from tests.desktops.x11 import X11Desktop
from tests.waiting import PATIENCE

PROGRAM = ViewerProgram("nothing", is_ours=True)
# What each attempt says is kept: its result, or the name of the error.
ATTEMPTS = """
import errno, json, os, sys
from qubes_manager.viewers.confined import few_threads, start_nothing_else
few_threads()
start_nothing_else()
said = {}
def attempt(name, act):
    try:
        said[name] = repr(act())
    except OSError as error:
        said[name] = errno.errorcode[error.errno]
    except MemoryError:
        said[name] = "MemoryError"
"""


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A home with a secret in it, and an X server's socket that answers nobody."""
    if trouble := sandbox_trouble():
        pytest.skip(trouble)
    home = tmp_path / "home"
    home.mkdir()
    (home / "secret").write_text("the user's own")
    (home / ".Xauthority").write_text("cookie")
    number = 20_000 + os.getpid()
    path = Path(f"/tmp/.X11-unix/X{number}")
    path.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        yield {"HOME": str(home), "DISPLAY": f":{number}", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/bus"}
    path.unlink()


def run(code: str, environment: dict[str, str], program: ViewerProgram = PROGRAM) -> "subprocess.CompletedProcess[str]":
    """Run Python code where a viewer's program would run."""
    with viewer_command(program, environment=environment) as command:
        words = command.words[: command.words.index("-m")]
        return subprocess.run(
            [*words, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False, pass_fds=command.files
        )


def said(attempts: str, environment: dict[str, str], program: ViewerProgram = PROGRAM) -> dict[str, str]:
    """What came of attempts, each a line "attempt(name, function)"."""
    done = run(f"{ATTEMPTS}\n{attempts}\nprint(json.dumps(said))", environment, program)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_nothing_of_the_user_s_is_there(environment: dict[str, str]) -> None:
    home = environment["HOME"]
    found = said(
        f"""
attempt("secret", lambda: open("{home}/secret").read())
attempt("root's home", lambda: os.listdir("{Path.home()}/.ssh"))
attempt("etc", lambda: sorted(os.listdir("/etc")))
attempt("run", lambda: sorted(os.listdir("/run")))
attempt("programs", lambda: os.listdir("/usr/bin"))
attempt("processes", lambda: os.listdir("/proc"))
attempt("devices", lambda: os.listdir("/dev"))
attempt("variables", lambda: sorted(os.environ))
attempt("our other code", lambda: sorted(os.listdir("/app/qubes_manager")))
""",
        environment,
    )
    for absent in ("secret", "root's home", "processes"):
        assert found[absent] == "ENOENT", absent
    assert found["devices"] == "['null']"
    assert "passwd" not in found["etc"]
    assert found["run"] == "['xauthority']"
    assert "sh" not in found["programs"].replace("python", "")
    assert "BUS" not in found["variables"].replace("DBUS_SESSION_BUS_ADDRESS", "")
    assert found["our other code"] == "['__init__.py', 'core', 'viewers']"


def test_nothing_can_be_written(environment: dict[str, str]) -> None:
    places = ("/x", "/run/x", "/tmp/x", "/dev/x", "/dev/shm/x", "/app/x", "/usr/lib/x", "/nonexistent/x")
    found = said("\n".join(f"attempt({place!r}, lambda: open({place!r}, 'w'))" for place in places), environment)
    assert set(found.values()) <= {"EROFS", "ENOENT"}, found


def test_no_other_program_and_no_other_process_comes_to_be(environment: dict[str, str]) -> None:
    found = said(
        """
attempt("program", lambda: os.execv(sys.executable, [sys.executable, "-c", "print('started')"]))
attempt("from memory", lambda: os.execve(os.open(sys.executable, os.O_RDONLY), ["program"], {}))
attempt("fork", os.fork)
attempt("signal to all", lambda: os.kill(-1, 9))
attempt("lock", lambda: __import__("fcntl").lockf(open(sys.executable), 1 | 4))
attempt("limits", lambda: __import__("resource").setrlimit(__import__("resource").RLIMIT_AS, (1 << 29, 1 << 29)))
""",
        environment,
    )
    assert found == {
        "program": "EPERM",
        "from memory": "EPERM",
        "fork": "ENOSYS",
        "signal to all": "ENOSYS",
        "lock": "ENOSYS",
        "limits": "ENOSYS",
    }


def test_threads_have_an_end_which_is_the_viewer_s_own(environment: dict[str, str]) -> None:
    found = said(
        """
import resource, threading
attempt("limit", lambda: resource.getrlimit(resource.RLIMIT_NPROC))
try:
    resource.setrlimit(resource.RLIMIT_NPROC, (1000, 1000))
except ValueError as error:
    said["raising it"] = str(error)
go, threads = threading.Event(), []
try:
    while len(threads) < 100:
        threads.append(threading.Thread(target=go.wait))
        threads[-1].start()
except RuntimeError:
    pass
go.set()
said["threads"] = len(threads)
""",
        environment,
    )
    assert found["limit"] == "(64, 64)"
    assert found["raising it"] == "not allowed to raise maximum limit"
    # The kernel lets root have any number.
    assert int(found["threads"]) <= 64 or os.getuid() == 0


def test_nobody_can_be_reached(environment: dict[str, str]) -> None:
    # Abstract sockets have no path that could be hidden: the X server's and the bus's are such, too.
    with socket.socket(socket.AF_UNIX) as listener:
        name = f"\0qubes-manager-test-{os.getpid()}"
        listener.bind(name)
        listener.listen()
        found = said(
            f"""
import socket
attempt("abstract", lambda: socket.socket(socket.AF_UNIX).connect({name!r}))
attempt("bus", lambda: socket.socket(socket.AF_UNIX).connect("/run/user/bus"))
attempt("system bus", lambda: socket.socket(socket.AF_UNIX).connect("/run/dbus/system_bus_socket"))
attempt("serving", lambda: socket.socket(socket.AF_UNIX).bind("\\0here"))
""",
            environment,
        )
    assert found == {"abstract": "ECONNREFUSED", "bus": "ENOENT", "system bus": "ENOENT", "serving": "ENOSYS"}


@pytest.mark.parametrize(
    "call",
    [
        pytest.param("socket.socket(socket.AF_INET)", id="network"),
        pytest.param("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", id="netlink"),
        pytest.param("libc.ptrace(16, 1, 0, 0)", id="another_process"),
        pytest.param("libc.mount(b'none', b'/', b'tmpfs', 0, None)", id="mount"),
        pytest.param("libc.unshare(0x10000000)", id="user_namespace"),
    ],
)
def test_what_only_an_attacker_tries_ends_the_viewer(call: str, environment: dict[str, str]) -> None:
    code = f"import ctypes, socket\nlibc = ctypes.CDLL(None)\nprint('trying', flush=True)\n{call}\nprint('survived')"
    done = run(code, environment)
    assert done.stdout == "trying\n"
    # Bubblewrap tells a signal as shells do.
    assert done.returncode in (-signal.SIGSYS, 128 + signal.SIGSYS)


def test_memory_has_an_end_and_others_do_not_notice(environment: dict[str, str]) -> None:
    program = ViewerProgram("nothing", is_ours=True, memory=300 << 20)
    found = said(
        """
import mmap
kept = []
def fill(make):
    while True:
        kept.append(make())
attempt("own", lambda: fill(lambda: bytearray(8 << 20)))
kept.clear()
attempt("shared", lambda: fill(lambda: mmap.mmap(-1, 8 << 20)))
taken = sum(map(len, kept))
kept.clear()
# What is held without being mapped would count nowhere.
attempt("file in memory", lambda: os.memfd_create("picture"))
libc = __import__("ctypes").CDLL(None)
said["shared segment"] = libc.shmget(0, 1 << 20, 0o1600)
said["taken"] = taken
""",
        environment,
        program,
    )
    assert found["own"] == "MemoryError"
    assert found["shared"] == "ENOMEM"
    assert int(found["taken"]) < 300 << 20
    assert found["file in memory"] == "ENOSYS"
    assert int(found["shared segment"]) == -1


def test_memory_is_written_or_run_and_no_code_comes_to_be_when_the_guest_is_heard(
    environment: dict[str, str],
) -> None:
    found = said(
        """
import ctypes, mmap, threading, _ctypes
from qubes_manager.viewers.confined import load_nothing_else
libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
WRITE, RUN = mmap.PROT_READ | mmap.PROT_WRITE, mmap.PROT_READ | mmap.PROT_EXEC
def written_then_run():
    memory = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, WRITE)
    place = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if libc.mprotect(place, 4096, RUN):
        raise OSError(ctypes.get_errno(), "mprotect")
library = open(_ctypes.__file__, "rb")
go = threading.Event()
other = threading.Thread(target=lambda: go.wait() and attempt("another thread", written_then_run))
other.start()
attempt("both", lambda: mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, WRITE | mmap.PROT_EXEC))
load_nothing_else()
go.set()
other.join()
attempt("written, then run", written_then_run)
attempt("run", lambda: mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, RUN))
attempt("a library", lambda: mmap.mmap(library.fileno(), 4096, mmap.MAP_PRIVATE, RUN))
attempt("read", lambda: mmap.mmap(library.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ)[1:4])
attempt("program", lambda: os.execv(sys.executable, [sys.executable, "-c", "print('started')"]))
""",
        environment,
    )
    assert found == {
        "both": "ENOSYS",
        "another thread": "EPERM",
        "written, then run": "EPERM",
        "run": "EPERM",
        "a library": "EPERM",
        "read": "b'ELF'",
        "program": "EPERM",
    }


def test_a_whole_window_is_drawn_in_there(tmp_path: Path) -> None:
    if trouble := sandbox_trouble():
        pytest.skip(trouble)
    desktop = X11Desktop(tmp_path)
    try:
        with viewer_command(PROGRAM, environment=desktop.environment) as command:
            words = [*command.words[: command.words.index("-m")], "-c", WINDOW]
            process = subprocess.Popen(words, stdout=subprocess.PIPE, pass_fds=command.files)
        with process:
            assert process.stdout
            assert process.stdout.readline() == b"xcb\n"
            desktop.until(lambda: desktop.extent((255, 0, 0)), "a red window")
            process.kill()
    finally:
        desktop.close()


WINDOW = """
import sys
from qubes_manager.viewers.confined import load_nothing_else, start_nothing_else
start_nothing_else()
from PySide6.QtGui import QColor, QGuiApplication, QPainter, QRasterWindow

class Window(QRasterWindow):
    def paintEvent(self, event):
        painter = QPainter(self)
        painter.fillRect(0, 0, 400, 300, QColor("red"))
        painter.drawText(20, 20, "H\u00e4llo")
        painter.end()

application = QGuiApplication(["viewer"])
print(application.platformName(), flush=True)
load_nothing_else()
window = Window()
window.resize(400, 300)
window.show()
application.exec()
"""


# With others a viewer loads what Qt brings (own_python.py).
tried_qt = pytest.mark.skipif(
    not own_python._TRIED[0] <= own_python._version() <= own_python._TRIED[1],
    reason="this version of PySide6 was not tried without its signatures",
)


@tried_qt
def test_a_viewer_loads_nothing_of_qt_and_python_that_it_has_no_use_for(environment: dict[str, str]) -> None:
    done = run("import json, sys, qubes_manager.viewers.gui_program\nprint(json.dumps(list(sys.modules)))", environment)
    loaded = set(json.loads(done.stdout))
    assert {"PySide6.QtGui", "qubes_manager.viewers.windows.windows"} <= loaded
    useless = {"PySide6.QtWidgets", "shibokensupport.signature.parser", "argparse", "logging", "xml.etree.ElementTree"}
    assert not loaded & useless


def test_a_qt_that_was_not_tried_is_loaded_with_all_that_it_has(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_python, "_TRIED", ((9, 0), (9, 9)))
    done = run("import sys, PySide6.QtGui\nprint('shibokensupport.signature.parser' in sys.modules)", environment)
    assert done.stdout == "True\n", done.stderr


@tried_qt
def test_what_is_asked_of_qt_wrongly_is_an_error_as_elsewhere(environment: dict[str, str]) -> None:
    calls = ("QPoint().setX('left')", "QPoint(1, 2, 3)", "QTimer(None, nonsense=3)", "QRegion() + 3")
    code = f"""
from PySide6.QtCore import QPoint, QTimer
from PySide6.QtGui import QRegion
for call in {calls}:
    try:
        eval(call)
    except TypeError as error:
        print(error)
"""
    lines = run(code, environment).stdout.splitlines()
    assert len(lines) == len(calls), lines
    assert lines[0] == "PySide6.QtCore.QPoint.setX does not take 'left'"
    assert "nonsense" in lines[2]
