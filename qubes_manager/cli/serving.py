"""What our serving programs share as commands: options, a log of their own, signals that end them."""

import asyncio
import logging
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Coroutine
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Protocol

from qubes_manager.cli.options import DONE, FAILED, new_parser
from qubes_manager.core.errors import QubesManagerError

_LOG_BYTES = 1 << 20


class Served(Protocol):
    """A program that serves until it is stopped."""

    async def run(self) -> bool:
        """Serve."""
        ...

    def stop(self) -> None:
        """End."""
        ...


def serving_parser(name: str, about: str, grace: float) -> ArgumentParser:
    """Return a parser with the options of a serving program."""
    parser = new_parser(name, about)
    parser.add_argument("--grace", type=float, default=grace, metavar="SECONDS", help="stay so long without work")
    parser.add_argument("--stop", action="store_true", help="end the one that runs; it starts anew when it is needed")
    return parser


def log_to(path: Path, *, verbose: bool) -> None:
    """Log to a file, of which one that is older is kept."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[file])


async def serve(service: Served) -> None:
    """Serve until a signal comes."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, service.stop)
    await service.run()


def stop_running(name: str, stop: Coroutine[object, object, bool]) -> int:
    """Have the one that runs end, and say whether there was one."""
    try:
        print(f"{name} has ended" if asyncio.run(stop) else f"{name} does not run")
    except QubesManagerError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return FAILED
    return DONE
