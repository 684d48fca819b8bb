"""How the window looked when it was closed last: restored from the settings, and collected into them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from qubes_manager.core.settings import Settings
from qubes_manager.models.domain_columns import COLUMN_INDEX, COLUMNS
from qubes_manager.ui.actions import ActionSet
from qubes_manager.ui.feedback.confirm import Confirmation
from qubes_manager.ui.look.theme import set_appearance
from qubes_manager.ui.menus import ChoiceMenu
from qubes_manager.ui.table.domain_view import DomainView
from qubes_manager.ui.table.filter_controls import FilterControls


@dataclass(frozen=True, slots=True)
class WindowState:
    """The parts of a window whose state is kept; *panes* are what check boxes show and hide, by the action's id."""

    window: QWidget
    view: DomainView
    filter: FilterControls
    appearances: ChoiceMenu
    confirmation: Confirmation
    actions: ActionSet
    panes: Mapping[str, QWidget]

    def restore(self, settings: Settings) -> None:
        """Bring the parts into the state that *settings* hold; the window's size and what is unasked come before."""
        if settings.columns:
            self.view.apply_columns(settings.columns)
        column = COLUMN_INDEX.get(settings.sort_column, COLUMN_INDEX["name"])
        order = Qt.SortOrder.DescendingOrder if settings.sort_descending else Qt.SortOrder.AscendingOrder
        self.view.horizontalHeader().setSortIndicator(column, order)
        self.view.setSortingEnabled(True)
        self.appearances.choose(settings.appearance)
        set_appearance(settings.appearance)
        for name, shown in (
            ("toolbar", settings.show_toolbar),
            ("details", settings.show_details),
            ("applications", settings.show_applications),
            ("devices-page", settings.show_devices),
        ):
            self.actions[name].setChecked(shown)
            self.panes[name].setVisible(shown)
        self.actions["waiting"].setChecked(settings.show_waiting)
        self.filter.choose(settings.filter)

    def collect(self, settings: Settings) -> Settings:
        """Return *settings* with the state that the parts have now."""
        header = self.view.horizontalHeader()
        return replace(
            settings,
            appearance=self.appearances.chosen or "system",
            columns=self.view.column_settings(),
            sort_column=COLUMNS[header.sortIndicatorSection()].id,
            sort_descending=header.sortIndicatorOrder() is Qt.SortOrder.DescendingOrder,
            filter=self.filter.chosen,
            unasked=sorted(self.confirmation.unasked),
            window_width=self.window.width(),
            window_height=self.window.height(),
            show_details=self.actions["details"].isChecked(),
            show_applications=self.actions["applications"].isChecked(),
            show_devices=self.actions["devices-page"].isChecked(),
            show_toolbar=self.actions["toolbar"].isChecked(),
            show_waiting=self.actions["waiting"].isChecked(),
        )
