"""The program's entry point: the window, or one of its sub-commands."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from qubes_manager.cli.options import new_parser, wanted_uris


def main(argv: Sequence[str] | None = None) -> int:
    """Run the manager; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["ask"]:
        from qubes_manager.ui.asking.program import main as ask

        return ask(words[1:])
    if words[:1] == ["setup"]:
        from qubes_manager.cli.setup import main as setup

        return setup(words[1:])
    if words[:1] == ["gui"]:
        from qubes_manager.cli.gui import main as gui

        return gui(words[1:])
    if words[:1] == ["broker"]:
        from qubes_manager.cli.broker import main as broker

        return broker(words[1:])
    if words[:1] == ["policy"]:
        from qubes_manager.cli.policy import main as policy

        return policy(words[1:])
    if words[:1] == ["clipboard"]:
        from qubes_manager.cli.clipboard import main as clipboard

        return clipboard(words[1:])
    if words[:1] == ["device-gone"]:
        from qubes_manager.cli.device_gone import main as device_gone

        return device_gone(words[1:])
    if words[:1] == ["run"]:
        from qubes_manager.cli.run_app import main as run_app

        return run_app(words[1:])
    parser = _parser()
    options = parser.parse_args(words)
    if options.check_host:
        from qubes_manager.cli.check_host import check_host

        return check_host(options)
    if options.picture:
        options.picture = options.picture.absolute()
        options.picture.parent.mkdir(parents=True, exist_ok=True)
    if options.private_libvirtd:
        return _with_private_daemon(options)
    return _open_window(options, wanted_uris(options))


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(
        "qubes-manager", "Manage security domains on libvirt. See also: setup, run, policy, clipboard --help."
    )
    parser.add_argument("--log-level", default="warning", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--picture", type=Path, metavar="FILE", help="save a picture of the window, print it and exit")
    parser.add_argument("--check-host", action="store_true", help="say what this machine can do, and exit")
    parser.add_argument("--demo-if-empty", action="store_true", help="make and start the demo domains where none are")
    parser.add_argument(
        "--private-libvirtd",
        type=Path,
        metavar="FOLDER",
        help="run a libvirtd of its own, as an unprivileged user, below FOLDER; for root and containers",
    )
    return parser


def _with_private_daemon(options: argparse.Namespace) -> int:
    from qubes_manager.services.hosts.private_host import private_host

    with private_host(options.private_libvirtd) as uri:
        print(f"using a private libvirtd: {uri}", flush=True)
        return _open_window(options, [uri])


def _open_window(options: argparse.Namespace, uris: Sequence[str]) -> int:
    from qubes_manager.services.hosts.opening import start_opening

    # libvirt's event loop iterates GLib's default context in a thread of its own; a Qt that uses the same context
    # would have its timers fire there (seen: timers of the window's loop started from another thread).
    os.environ["QT_NO_GLIB"] = "1"

    openers = start_opening(uris, watch=True)
    try:
        from qubes_manager.ui.app import run
    except ImportError as error:
        print(f"qubes-manager: Qt cannot be loaded ({error}); “make run” installs what it needs", file=sys.stderr)
        return 1
    from qubes_manager.cli.output import harmless_output

    # What is logged and printed goes to a terminal too.
    with harmless_output():
        return run(options, uris, openers)


if __name__ == "__main__":
    sys.exit(main())
