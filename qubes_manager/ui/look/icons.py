"""Our SVG icons, in the colours of the palette in force."""

from functools import lru_cache
from importlib import resources
from pathlib import Path

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QImage, QPainter, QPalette, QPen, QPixmap
from PySide6.QtSvg import QSvgRenderer

from qubes_manager.core.applications import ICON_SIDE, Application
from qubes_manager.core.domain import Domain, DomainState
from qubes_manager.core.labels import Label

# Sizes in device pixels, for 16 to 32 px icons on screens of 100 to 200 %.
# Those of menus, rows and tool bars, at once and twice their size; larger ones would take half of all memory of icons.
_SIZES = (16, 20, 24, 32, 48)
_PROGRAM_SIZES = (*_SIZES, 64, 128)
_SWATCH = 14
_STATE_ICONS = {
    DomainState.RUNNING: "state-running",
    DomainState.PAUSED: "state-paused",
    DomainState.SUSPENDED: "state-paused",
    DomainState.SAVED: "state-saved",
    DomainState.HALTED: "state-halted",
    DomainState.CRASHED: "state-crashed",
    DomainState.UNKNOWN: "state-halted",
}


def _folder() -> Path:
    packaged = Path(str(resources.files("qubes_manager"))) / "icons"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "resources/icons"


@lru_cache(maxsize=256)
def _render(name: str, colour: str, size: int) -> QPixmap:
    svg = (_folder() / f"{name}.svg").read_text("utf-8").replace("currentColor", colour)
    pixmap = QPixmap(size, size)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(0, 0, size, size))
    painter.end()
    return pixmap


@lru_cache(maxsize=128)
def _icon(name: str, normal: str, disabled: str, sizes: tuple[int, ...] = _SIZES) -> QIcon:
    icon = QIcon()
    for size in sizes:
        icon.addPixmap(_render(name, normal, size), QIcon.Mode.Normal)
        icon.addPixmap(_render(name, normal, size), QIcon.Mode.Selected)
        icon.addPixmap(_render(name, disabled, size), QIcon.Mode.Disabled)
    return icon


def icon(name: str) -> QIcon:
    """Return the icon *name* in the present text colours."""
    palette = QGuiApplication.palette()
    text = palette.color(QPalette.ColorGroup.Active, QPalette.ColorRole.WindowText)
    faint = palette.color(QPalette.ColorGroup.Disabled, QPalette.ColorRole.WindowText)
    return _icon(name, text.name(), faint.name())


def program_icon() -> QIcon:
    """The program's own icon, which keeps its colours."""
    return _icon("qubes-manager", "#000000", "#808080", _PROGRAM_SIZES)


@lru_cache(maxsize=1)
def carrying_icon() -> QIcon:
    """The program's icon while something crosses: with two arrows in its corner."""
    result = QIcon()
    for size in _PROGRAM_SIZES:
        pixmap = QPixmap(_render("qubes-manager", "#000000", size))
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        side = size * 5 / 8
        corner = QRectF(size - side, size - side, side, side)
        painter.setBrush(QColor("#1f6fd0"))
        painter.setPen(QPen(QColor("#ffffff"), max(size / 32, 1)))
        painter.drawEllipse(corner.adjusted(0.5, 0.5, -0.5, -0.5))
        inner = corner.adjusted(side / 6, side / 6, -side / 6, -side / 6)
        painter.drawPixmap(inner.toRect(), _render("transfers", "#ffffff", round(inner.width())))
        painter.end()
        result.addPixmap(pixmap)
    return result


@lru_cache(maxsize=16)
def swatch(colour: str) -> QIcon:
    """A patch of a label's colour, with an edge so that it stands out from any background."""
    result = QIcon()
    for scale in (1, 2):
        pixmap = QPixmap(_SWATCH * scale, _SWATCH * scale)
        pixmap.setDevicePixelRatio(scale)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(QColor(colour))
        painter.setPen(QPen(QColor(128, 128, 128), 1))
        painter.drawRoundedRect(QRectF(1, 1, _SWATCH - 2, _SWATCH - 2), 3, 3)
        painter.end()
        # Without its own pixmap a selected row tints the patch, and a trust colour must stay what it is.
        for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected, QIcon.Mode.Disabled):
            result.addPixmap(pixmap, mode)
    return result


@lru_cache(maxsize=2048)
def app_icon(app: Application) -> QIcon | None:
    """The picture of a guest's application, from its plain pixels; None when it has none."""
    if not app.icon:
        return None
    side = ICON_SIDE
    image = QImage(app.icon, side, side, 4 * side, QImage.Format.Format_RGBA8888).copy()
    return QIcon(QPixmap.fromImage(image))


def application_icon(domain: Domain | None, app: Application | None) -> QIcon | None:
    """The picture in a list of applications: of an application, of a domain, or of the favourites."""
    if app:
        return app_icon(app) or icon("windows")
    return label_icon(domain.label) if domain else icon("favourite")


def label_icon(label: Label | None) -> QIcon | None:
    """The patch of a label."""
    return swatch(label.colour) if label else None


def state_icon(domain: Domain) -> QIcon:
    """The icon of a domain's state; of the host itself where it is that."""
    if domain.is_host:
        return icon("host")
    if domain.activity:
        return icon("state-busy")
    return icon(_STATE_ICONS.get(domain.state, "state-busy"))


def decoration(domain: Domain, column: str) -> QIcon | None:
    """The icon in a cell of the table."""
    match column:
        case "state":
            return state_icon(domain)
        case "name" | "label":
            return label_icon(domain.label)
    return None
