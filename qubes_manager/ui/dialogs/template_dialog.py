"""Building a template of Debian packages."""

from collections.abc import Callable

from PySide6.QtWidgets import QLineEdit, QWidget

from qubes_manager.core.errors import Refused
from qubes_manager.core.names import check_name
from qubes_manager.core.template_recipe import DEFAULT_SIZE, SUGGESTED_PACKAGES, SUITES, TemplateRecipe
from qubes_manager.services.setup.first_setup import TEMPLATE_NAMES
from qubes_manager.ui.dialogs.form_dialog import FormDialog
from qubes_manager.ui.look.fields import ComboBox, SpinBox
from qubes_manager.ui.look.plain import PlainLabel

_GIB = 1 << 30


class RecipeFields:
    """The fields of a recipe, for the dialog and for the assistant."""

    def __init__(self) -> None:
        self.suite = ComboBox()
        for suite in SUITES:
            self.suite.addItem(f"Debian {TEMPLATE_NAMES[suite].rpartition('-')[2]} ({suite})", suite)
        self.packages = QLineEdit(" ".join(SUGGESTED_PACKAGES))
        self.packages.setPlaceholderText("names of packages, separated by spaces")
        self.size = SpinBox()
        self.size.setRange(3, 4096)
        self.size.setValue(DEFAULT_SIZE // _GIB)
        self.size.setSuffix(" GiB")
        self.mirror = QLineEdit()
        self.mirror.setPlaceholderText("empty: Debian’s own servers")
        self.notice = PlainLabel()
        self.notice.setWordWrap(True)
        self.suite.currentIndexChanged.connect(lambda _index: self._tell())
        self._tell()

    def _tell(self) -> None:
        """Say beforehand what else is built for the release, and what it takes."""
        recipe = TemplateRecipe(self.suite.currentData())
        self.notice.setText(recipe.source_build.describe(recipe.suite) if recipe.source_build else "")
        self.notice.setVisible(bool(recipe.source_build))

    def recipe(self) -> TemplateRecipe:
        """What the fields say; ``check`` has not been called."""
        packages = tuple(self.packages.text().replace(",", " ").split())
        return TemplateRecipe(self.suite.currentData(), self.mirror.text().strip(), packages, self.size.value() * _GIB)


class TemplateDialog(FormDialog):
    """Asks for what a new template is made of; all has a default."""

    def __init__(self, parent: QWidget, is_taken: Callable[[str], bool]) -> None:
        super().__init__(parent, "New template", "Build")
        self._is_taken = is_taken
        self.fields = RecipeFields()
        self.name = QLineEdit(TEMPLATE_NAMES[SUITES[0]])
        self.add_note(
            "A template is the system that domains start from. It is built from Debian’s packages, "
            "without root rights; that takes some minutes and about 2 GiB."
        )
        self.add_field("Name", self.name, self._check_name)
        self.add_field("Release", self.fields.suite)
        self.form.addRow("", self.fields.notice)
        self.add_field("Packages", self.fields.packages, lambda: self.fields.recipe().check())
        self.add_field("Size", self.fields.size)
        self.add_field("Mirror", self.fields.mirror)
        self.fields.suite.currentIndexChanged.connect(lambda _i: self._propose())
        for field in (self.name, self.fields.packages, self.fields.mirror):
            field.textChanged.connect(self.validate)
        self.finish(self.name)
        self.validate()

    def _propose(self) -> None:
        if self.name.text() in TEMPLATE_NAMES.values():
            self.name.setText(TEMPLATE_NAMES[self.fields.suite.currentData()])
        self.validate()

    def _check_name(self) -> None:
        check_name(self.name.text())
        if self._is_taken(self.name.text()):
            raise Refused("there is a domain of that name already; choose another")
