"""Icons in the colours of the palette; those of trust keep theirs."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from PySide6.QtGui import QColor, QIcon, QPalette
from PySide6.QtWidgets import QApplication

from qubes_manager.core.applications import Application
from qubes_manager.core.domain import HOST_UUID, Activity, Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.labels import LABELS
from qubes_manager.ui.look.icons import app_icon, application_icon, decoration, icon, label_icon, swatch
from tests.build import domain

MODES = (QIcon.Mode.Normal, QIcon.Mode.Selected, QIcon.Mode.Disabled)
RED = LABELS["red"]
WORK = domain(config=DomainConfig(label=RED))
PICTURED = Application("x", "X", icon=b"\x10\x20\x30\xff" * 48 * 48)


@pytest.fixture
def palette(qapp: QApplication) -> Iterator[QPalette]:
    """White text, grey where disabled; the colours are as before when the test ends."""
    palette = QPalette()
    palette.setColor(QPalette.ColorRole.WindowText, QColor("#ffffff"))
    palette.setColor(QPalette.ColorGroup.Disabled, QPalette.ColorRole.WindowText, QColor("#808080"))
    qapp.setPalette(palette)
    yield palette
    qapp.setPalette(QPalette())


def colours(picture: QIcon, mode: QIcon.Mode = QIcon.Mode.Normal) -> set[str]:
    """The colours of all pixels that hide what is behind them."""
    image = picture.pixmap(32, 32, mode).toImage()
    pixels = (image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height()))
    return {colour.name() for colour in pixels if colour.alpha() == 255}


def same(one: QIcon | None, other: QIcon | None) -> bool:
    return one is not None and other is not None and one.cacheKey() == other.cacheKey()


def test_an_icon_has_the_colours_of_the_text_that_it_stands_beside(palette: QPalette) -> None:
    assert colours(icon("close")) == {"#ffffff"}
    assert colours(icon("close"), QIcon.Mode.Disabled) == {"#808080"}


def test_a_trust_colour_stays_what_it_is_where_its_row_is_selected_or_disabled(qapp: QApplication) -> None:
    for label in LABELS.values():
        patch = swatch(label.colour)
        pictures = [patch.pixmap(14, 14, mode).toImage() for mode in MODES]
        assert pictures[0].pixelColor(7, 7).name() == QColor(label.colour).name()
        assert pictures[0] == pictures[1] == pictures[2], label


def test_an_application_has_its_own_picture_or_that_of_any_window(qapp: QApplication) -> None:
    assert colours(application_icon(WORK, PICTURED) or QIcon()) == {"#102030"}
    assert app_icon(Application("y", "Y")) is None
    assert same(application_icon(WORK, Application("y", "Y")), icon("windows"))


def test_a_group_of_applications_has_its_domain_s_patch_and_the_favourites_theirs(qapp: QApplication) -> None:
    assert same(application_icon(WORK, None), swatch(RED.colour))
    assert application_icon(domain(), None) is None
    assert same(application_icon(None, None), icon("favourite"))


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        (domain(state=DomainState.RUNNING), "state-running"),
        (domain(state=DomainState.CRASHED), "state-crashed"),
        (domain(state=DomainState.HALTING), "state-busy"),
        # What is being done comes before the state, and the host is never anything else.
        (domain(state=DomainState.HALTED, activity=Activity.STARTING), "state-busy"),
        (replace(domain(), key=DomainKey("x", HOST_UUID), activity=Activity.STARTING), "host"),
    ],
)
def test_the_state_has_the_icon_of_what_goes_on(qapp: QApplication, shown: Domain, name: str) -> None:
    assert same(decoration(shown, "state"), icon(name))


def test_the_table_has_the_trust_colour_beside_name_and_label_only(qapp: QApplication) -> None:
    for column in ("name", "label"):
        assert same(decoration(WORK, column), label_icon(RED))
    assert decoration(domain(), "name") is None
    assert decoration(WORK, "memory") is None
