"""Qt's application for the desktop that there is."""

from collections.abc import MutableMapping

from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible, QGuiApplication

from qubes_manager.viewers.windows.accessible import make_accessible
from qubes_manager.viewers.windows.platform import Platform


def make_application(domain: str, environment: MutableMapping[str, str]) -> QGuiApplication:
    """Start Qt for a domain's windows: natively on Wayland where there is one, on X11 without scaling of its own."""
    if "QT_QPA_PLATFORM" not in environment:
        environment["QT_QPA_PLATFORM"] = "wayland" if environment.get("WAYLAND_DISPLAY") else "xcb"
    if not environment["QT_QPA_PLATFORM"].startswith("wayland"):
        environment["QT_ENABLE_HIGHDPI_SCALING"] = "0"
    # GLib's loop would be of no use, and takes time to load.
    environment["QT_NO_GLIB"] = "1"
    rounding = Qt.HighDpiScaleFactorRoundingPolicy.PassThrough
    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(rounding)
    application = QGuiApplication(["qubes-manager"])
    application.setApplicationName(domain)
    QAccessible.installFactory(make_accessible)
    # Domains have windows again and again.
    application.setQuitOnLastWindowClosed(False)
    return application


def platform_of(application: QGuiApplication) -> Platform:
    """The part that belongs to the desktop that Qt found."""
    if application.platformName().startswith("wayland"):
        from qubes_manager.viewers.windows.wayland import Wayland

        return Wayland()
    from qubes_manager.viewers.windows.x11 import X11

    return X11()
