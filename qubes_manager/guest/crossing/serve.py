"""Runs one of our own services: in a child of the service program, or as a program for another user."""

import importlib
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType


def run_service(module: str, arguments: Sequence[str]) -> int:
    """Run the service in ``guest/services/MODULE.py`` on the standard streams; returns its exit code."""
    return int(_find(module).main(arguments))


def serve_directly(module: str, arguments: Sequence[str], link: socket.socket, port: int) -> int:
    """Run a service that takes the bytes of its call from *port* itself; returns its exit code.

    Through *link* the service program says how many come, and is told how many went.
    """
    from qubes_manager.core.crossing.ports import STALL
    from qubes_manager.guest.crossing.client import Conversation

    with Conversation(link, port, STALL) as conversation:
        try:
            return int(_find(module).serve(arguments, conversation))
        finally:
            conversation.finish()


def _find(module: str) -> ModuleType:
    return importlib.import_module(f"qubes_manager.guest.services.{module}")


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[3])
    sys.exit(run_service(sys.argv[1], sys.argv[2:]))
