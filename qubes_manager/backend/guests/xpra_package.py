"""A package of xpra's server for Debian releases that have none, built from its source in a system that is thrown away.

What was built is kept, by its version and by all that it was built of, with its SHA-256 beside it.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import shlex
import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote, urlsplit, urlunsplit

from qubes_manager.backend.guests.build_folder import build_folder
from qubes_manager.backend.host.host_tools import run_long_tool
from qubes_manager.core.errors import BadInput, Cancelled, NotFound, QubesManagerError
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.template_recipe import TemplateRecipe

_PYPI = "https://pypi.org/simple"
# Where the script works in the throw-away system, and its own words for its steps.
_FOLDER = "/xpra"
_STEPS = {
    "I: running apt-get update": "reading the lists of packages",
    "I: downloading packages": "downloading what builds it",
    "I: installing essential": "making a system to build it in",
    "I: installing remaining": "installing what builds it",
    "I: downloading xpra": "downloading its source",
    "I: building xpra": "compiling, which takes longest",
    "I: packing xpra": "packing it",
}
# Seconds between two looks whether another build of the same is over.
_LOOK = 0.2
# What the script says of a failure; all that mmdebstrap says of it is that there was one.
_FAILED = "E: xpra "


def kept_package(recipe: TemplateRecipe, kept: Path) -> Path | None:
    """The package that was built before and is as it was then; None when there is none."""
    package = kept / _name(recipe)
    try:
        recorded = package.with_suffix(".sha256").read_text("ascii").strip()
        return package if _digest(package) == recorded else None
    except (OSError, ValueError):
        return None


def build_notice(recipe: TemplateRecipe, kept: Path) -> str:
    """What a user is told before *recipe* is followed, since it takes longer than one expects; empty when nothing."""
    build = recipe.source_build
    return build.describe(recipe.suite) if build and not kept_package(recipe, kept) else ""


def xpra_package(
    recipe: TemplateRecipe,
    kept: Path,
    *,
    progress: Progress = SILENT,
    log_line: Callable[[str], object] = lambda _line: None,
) -> Path:
    """The package that *recipe* asks for, from the folder *kept*, or built into it; blocks for minutes then.

    Where it is being built already, by any of the user's programs, that is waited for. Raises NotFound without
    mmdebstrap, BadInput, Cancelled, QubesManagerError.
    """
    build = recipe.source_build
    assert build
    package = kept / _name(recipe)
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with _alone(package, f"{build.title}: waiting for another build of it", progress):
            if found := kept_package(recipe, kept):
                log_line(f"{build.title} was built before: {found}")
                return found
            with build_folder() as work:
                _keep(_build(recipe, work, progress, log_line), package)
    except OSError as error:
        raise QubesManagerError(f"{build.title}: {error.filename or kept}: {error.strerror}") from error
    return package


@contextlib.contextmanager
def _alone(package: Path, waiting: str, progress: Progress) -> Iterator[None]:
    """Be the only one that builds *package*, of all programs of the user's; raises Cancelled, OSError."""
    with package.with_suffix(".lock").open("w") as lock:
        if not _has_locked(lock):
            progress.step(waiting)
            while not _has_locked(lock):
                progress.raise_if_cancelled()
                time.sleep(_LOOK)
        yield


def _has_locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _keep(built: Path, package: Path) -> None:
    record, fresh = package.with_suffix(".sha256"), package.with_suffix(".new")
    # The digest last: a package without one is built again.
    record.unlink(missing_ok=True)
    shutil.copyfile(built, fresh)
    digest = _digest(fresh)
    fresh.replace(package)
    record.write_text(f"{digest}\n", "ascii")


def _build(recipe: TemplateRecipe, work: Path, progress: Progress, log_line: Callable[[str], object]) -> Path:
    build = recipe.source_build
    assert build
    reason = ""

    def on_line(line: str) -> None:
        nonlocal reason
        log_line(line)
        if line.startswith(_FAILED):
            reason = line.removeprefix("E: ")
        if step := next((words for theirs, words in _STEPS.items() if line.startswith(theirs)), ""):
            progress.step(f"{build.title}: {step}")

    script, package, netrc = work / "build_xpra.sh", work / "xpra.deb", work / "netrc"
    script.write_bytes(_script())
    index, credentials = without_credentials(os.environ.get("PIP_INDEX_URL") or _PYPI)
    netrc.touch(0o600)
    netrc.write_text(credentials, "utf-8")
    words = [build.version, build.digest, index, "certificates", build.depends]
    inside = f"cd {_FOLDER} && NETRC={_FOLDER}/netrc exec sh ./build {shlex.join(words)}"
    argv = [
        "mmdebstrap",
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        "--variant=apt",
        "--format=null",
        '--aptopt=APT::Install-Recommends "false"',
        f"--include={','.join(build.tools)}",
        f'--customize-hook=mkdir -m 0700 "$1{_FOLDER}"',
        f"--customize-hook=upload {shlex.quote(str(script))} {_FOLDER}/build",
        f"--customize-hook=upload {shlex.quote(_certificates())} {_FOLDER}/certificates",
        f"--customize-hook=upload {shlex.quote(str(netrc))} {_FOLDER}/netrc",
        f'--customize-hook=chroot "$1" sh -c {shlex.quote(inside)}',
        f"--customize-hook=download {_FOLDER}/xpra.deb {shlex.quote(str(package))}",
        recipe.suite,
        "-",
        *([recipe.mirror] if recipe.mirror else []),
    ]
    environment = {"TMPDIR": str(work), "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    log_line(shlex.join(argv))
    try:
        run_long_tool(argv, on_line=on_line, progress=progress, cwd=work, environment=environment)
    except Cancelled:
        raise
    except QubesManagerError as error:
        raise QubesManagerError(reason, error.details) if reason else error from error
    return package


def without_credentials(index: str) -> tuple[str, str]:
    """The address of an index without name and password, which command lines and logs would tell, and a netrc of them.

    pip reads that where an address has none (*netrc(5)*, as Python's own reader takes it). Raises BadInput for a host
    for which pip would look under another name.
    """
    parts = urlsplit(index)
    if "@" not in parts.netloc:
        return index, ""
    place, host = parts.netloc.rpartition("@")[2], parts.hostname or ""
    if not host or not host.isascii() or ":" in host:
        allowed = "pip finds the password of a host that has a plain name (ASCII, no address in brackets)"
        raise BadInput("PIP_INDEX_URL", place, allowed)
    login, password = (_quoted(unquote(word or "")) for word in (parts.username, parts.password))
    return urlunsplit(parts._replace(netloc=place)), f"machine {host} login {login} password {password}\n"


def _quoted(word: str) -> str:
    return '"' + word.replace("\\", r"\\").replace('"', r"\"") + '"'


def _name(recipe: TemplateRecipe) -> str:
    """What a package is kept as: by what it is, whom it is for, and all that it is made of."""
    build = recipe.source_build
    assert build
    made_of = hashlib.sha256(repr(build).encode() + _script()).hexdigest()[:12]
    return f"{build.program}-{build.version}-{recipe.suite}-{platform.machine()}-{made_of}.deb"


def _script() -> bytes:
    return (resources.files("qubes_manager.guest") / "debian/build_xpra.sh").read_bytes()


def _certificates() -> str:
    """This machine's certificate authorities: it may have some of its own, through which it reaches the internet."""
    found = os.environ.get("PIP_CERT") or ssl.get_default_verify_paths().cafile
    if not found or not Path(found).is_file():
        raise NotFound("this machine has no list of certificate authorities; install ca-certificates and try again")
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
