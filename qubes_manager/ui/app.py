"""Wires everything together; reads as the table of contents of the program."""

import argparse
import asyncio
import contextlib
import ctypes
import gc
import linecache
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import qasync
from PySide6.QtCore import QTimer
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QApplication, QSystemTrayIcon

from qubes_manager import __version__
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.settlement import Settlement
from qubes_manager.services.assembly import Services
from qubes_manager.services.gui.address import window_path
from qubes_manager.services.gui.brokers import follow_brokers
from qubes_manager.services.hosts.store import HostPhase
from qubes_manager.ui.applications.applications_dock import Tray
from qubes_manager.ui.applications.clipboard_menu import ClipboardMenu
from qubes_manager.ui.applications.transfers_menu import TransfersMenu
from qubes_manager.ui.feedback.domain_notices import DomainNotices
from qubes_manager.ui.feedback.message_bar import Level
from qubes_manager.ui.garbage import GarbageCollector
from qubes_manager.ui.main_window import MainWindow
from qubes_manager.ui.picture import take_picture
from qubes_manager.ui.single_instance import SingleInstance, raise_running

log = logging.getLogger("qubes_manager")

_LOG_BYTES, _LOG_FILES = 1 << 20, 2
_READY_CHECK_MS = 5
# By then what stays has been loaded. Python's collector would go through all of it again and again, 50 ms at a time
# with 5,000 domains; frozen objects are passed over.
_SETTLED_MS = 5000
# Seconds; a host that hangs must not hold the program.
_END_PATIENCE = 5.0


def run(options: argparse.Namespace, uris: Sequence[str], openers: Mapping[str, Any]) -> int:
    """Open the window and run until it is closed; returns the exit code.

    *openers* are connections on their way, by URI (services.opening).
    """
    started = time.monotonic() - _age()
    _forget_sources()
    services = Services.connecting(watch=True)
    _start_logging(options.log_level, services.log_paths.manager)
    application = QApplication(sys.argv[:1])
    application.setApplicationName("Qubes Manager")
    application.setDesktopFileName("qubes-manager")
    application.setApplicationVersion(__version__)
    GarbageCollector(application)
    if options.picture is None and raise_running(window_path()):
        print("Qubes Manager is running already; its window was raised.")
        return 0
    loop = qasync.QEventLoop(application)
    asyncio.set_event_loop(loop)
    with loop:
        return int(loop.run_until_complete(_main(application, options, services, uris, openers, started)))


async def _main(
    application: QApplication,
    options: argparse.Namespace,
    services: Services,
    uris: Sequence[str],
    openers: Mapping[str, Any],
    started: float,
) -> int:
    settings, trouble = await asyncio.to_thread(services.settings_file.load)
    window = MainWindow(services, settings)
    window.pages.offers_setup = options.picture is None
    instance = SingleInstance(await asyncio.to_thread(window_path), window.raise_window)
    _options, other_trouble = await asyncio.to_thread(services.gui_options.load)
    for line in filter(None, (trouble, other_trouble)):
        window.messages.show_message(Level.WARNING, line)
    ended = asyncio.Event()
    application.setQuitOnLastWindowClosed(False)
    window.quit_requested.connect(ended.set)
    _on_signals(ended.set)
    wanted = list(dict.fromkeys([*uris, *settings.connections]))
    for uri in wanted:
        services.hosts.follow(uri, openers.get(uri))
    _run_beside(window, services)
    commands = window.commands
    hearing = window.devices.hearing_sign()
    actions = [hearing, *_tray_actions(window, services)]
    tray = Tray(window, window.applications.model, commands.apps, commands.trigger, actions)
    tray.follow(window.window_commands.transfers)
    hearing.tell(partial(tray.say, "hearing"))
    tray.setVisible(QSystemTrayIcon.isSystemTrayAvailable())
    window.show()
    _tell_when_ready(window, services, len(wanted), started)
    try:
        if options.picture:
            await take_picture(window, services, options.picture, demo=options.demo_if_empty)
        else:
            await ended.wait()
    finally:
        tray.hide()
        await _close(window, services)
        instance.deleteLater()
    return 0


def _tray_actions(window: MainWindow, services: Services) -> list[QAction]:
    """What the tray offers beside applications."""
    actions = window.window_actions
    clipboard = ClipboardMenu(
        window,
        services.clipboards,
        services.store,
        window.commands.trigger,
        actions["paste-to"],
        actions["wipe-clipboard"],
    )
    transfers = TransfersMenu(window, window.window_commands.transfers, actions["transfers"], window.tasks.spawn)
    devices = window.devices.menu()
    return [
        devices.menuAction(),
        clipboard.menuAction(),
        transfers.menuAction(),
        actions["new-disposable"],
        actions["quit"],
    ]


def _run_beside(window: MainWindow, services: Services) -> None:
    """Start what goes on as long as the window is there."""
    _show_care(window, services)
    for work in (
        services.poller.run(),
        services.caretaker.run(),
        services.links.run(),
        services.menu_keeper.run(),
        services.lists.load(),
        follow_brokers(services.broker_links, services.store),
        window.devices.watches.run(),
    ):
        window.tasks.spawn(work)


async def _close(window: MainWindow, services: Services) -> None:
    """End what runs beside the window, and keep its settings."""
    window.tasks.cancel()
    window.hide()
    with contextlib.suppress(OSError, QubesManagerError):
        await asyncio.to_thread(services.settings_file.save, window.current_settings())
    # What was cancelled may have to put something back, for which it needs the hosts.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_END_PATIENCE):
            await window.tasks.close()
    await services.hosts.close()


def _show_care(window: MainWindow, services: Services) -> None:
    """Say what stops domains, what became of templates' runs, and what was done about crashes."""
    messages = window.messages

    def show_settlement(settlement: Settlement) -> None:
        messages.show_message(Level.INFO if settlement.is_kept else Level.WARNING, settlement.sentence)

    def show_recovery(sentence: str) -> None:
        messages.show_message(Level.WARNING, sentence)

    DomainNotices(services.store, messages, window.commands.trigger)
    services.roots.settled.connect(show_settlement)
    services.caretaker.recovered.connect(show_recovery)


def _forget_sources() -> None:
    """Give back what PySide6 read of the sources of all modules that were imported after it, 9 MB of them."""
    linecache.clearcache()


def _settle() -> None:
    """Leave what stays alone from now on, and give back what starting took and is free again."""
    _forget_sources()
    gc.freeze()
    # The C library keeps what many threads have freed (malloc_trim(3), of glibc alone).
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _age() -> float:
    """Seconds since this process was started (field 22 of proc_pid_stat(5))."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks


def _start_logging(level: str, path: Path) -> None:
    """Log to stderr as asked, and to our own file, which the log viewer shows."""
    stderr = logging.StreamHandler()
    stderr.setLevel(level.upper())
    stderr.setFormatter(logging.Formatter("%(message)s"))
    handlers: list[logging.Handler] = [stderr]
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(file)
    logging.basicConfig(level="DEBUG" if level == "debug" else "INFO", handlers=handlers)
    logging.getLogger("qasync").setLevel(logging.WARNING)


def _on_signals(end: Callable[[], None]) -> None:
    """End in order on SIGINT and SIGTERM."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)


async def _tell_of_windows(window: MainWindow, services: Services) -> None:
    """Say in the panel of applications when this machine cannot show any."""
    if trouble := await services.host_check.windows_trouble():
        window.applications.panel.tell_trouble(trouble)


def _tell_when_ready(window: MainWindow, services: Services, hosts: int, started: float) -> None:
    """Log once that the table shows all rows of every connection that answered."""

    def check() -> None:
        settled = [s for s in services.store.hosts.values() if s.phase is not HostPhase.CONNECTING]
        if len(settled) < hosts:
            QTimer.singleShot(_READY_CHECK_MS, window, check)
            return
        services.store.flush()
        # The next turn of the loop comes after the table has been painted.
        QTimer.singleShot(0, window, tell)

    def tell() -> None:
        elapsed = 1000 * (time.monotonic() - started)
        QTimer.singleShot(_SETTLED_MS, window, _settle)
        window.tasks.spawn(_tell_of_windows(window, services))
        log.info("ready rows=%d elapsed_ms=%.0f", window.model.rowCount(), elapsed)

    check()
