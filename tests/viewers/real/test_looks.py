"""What the desktop itself shows of windows, and what guests show beside them: icons, names, menus
within menus."""

import re

import pytest

from qubes_manager.viewers.rules.tint import tint
from tests.desktops.sway import SwayDesktop
from tests.desktops.x11 import X11Desktop
from tests.viewers.real.conftest import BLUE, BORDER, RULES, Shown
from tests.viewers.real.test_windows import HOVERED, MARK

INNER = (255, 255, 0)
# Red, as icons' pixels are: blue, green, red, alpha.
ICON = bytes((0, 0, 255, 255))
pytestmark = pytest.mark.timeout(120, func_only=True)


def test_a_menu_within_a_menu_has_the_border_and_what_is_chosen_in_it_happens(shown: Shown) -> None:
    window = shown.open("deep")
    shown.desktop.move(window.window, 200, 100)
    window.until_drawn()
    shown.desktop.click(*window.place(100, 60), 3)
    shown.desktop.until(lambda: shown.desktop.extent(MARK), "the menu is seen")
    menu = shown.desktop.extent(MARK)
    assert menu
    shown.desktop.point(menu.x + menu.width // 2, menu.y + menu.height // 2)
    shown.desktop.until(lambda: shown.desktop.extent(HOVERED), "the entry under the pointer is lit")
    shown.desktop.until(lambda: shown.desktop.extent(INNER), "the menu within is seen")
    inner = shown.desktop.extent(INNER)
    assert inner
    assert shown.desktop.is_framed(inner, BLUE, BORDER)
    assert abs(inner.x - menu.x - menu.width) <= 2 * BORDER, (menu, inner)
    assert abs(inner.y - menu.y) <= 2 * BORDER, (menu, inner)
    shown.desktop.click(inner.x + inner.width // 2, inner.y + inner.height // 2)
    window.until_said("chosen", "inside")
    shown.desktop.until(lambda: not shown.desktop.extent(INNER) and not shown.desktop.extent(MARK), "both go")


def test_its_icon_is_in_the_label_s_colour(shown: Shown) -> None:
    if not isinstance(shown.desktop, X11Desktop):
        pytest.skip("compositors of Debian 12 take no icons of windows")
    window = shown.open("icon")
    words = ("xprop", "-id", window.window, "-notype", "-f", "_NET_WM_ICON", "32c", "=$0+\n", "_NET_WM_ICON")
    numbers = [int(number) for number in re.findall(r"\d+", shown.desktop.tool(*words).partition("=")[2])]
    assert len(numbers) > 2, numbers
    blue, green, red, alpha = tint(ICON, RULES.colour)
    assert set(numbers[2 : 2 + numbers[0] * numbers[1]]) == {alpha << 24 | red << 16 | green << 8 | blue}


def test_desktops_group_windows_by_domain_and_program(shown: Shown) -> None:
    window = shown.open("grouped")
    if isinstance(shown.desktop, SwayDesktop):
        name = shown.desktop.node(window.window)["app_id"]
    elif isinstance(shown.desktop, X11Desktop):
        name = shown.desktop.tool("xprop", "-id", window.window, "WM_CLASS").split('"')[-2]
    else:
        pytest.skip("it does not tell")
    assert name == "work:Guest_window.py"
