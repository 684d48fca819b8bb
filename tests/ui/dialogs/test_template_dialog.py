"""The form of a new template."""

import pytest
from PySide6.QtWidgets import QLabel, QWidget

from qubes_manager.core.source_build import XPRA_FOR_TRIXIE
from qubes_manager.core.template_recipe import SUGGESTED_PACKAGES, SUITES, TemplateRecipe
from qubes_manager.services.setup.first_setup import TEMPLATE_NAMES
from qubes_manager.ui.dialogs.template_dialog import TemplateDialog


@pytest.fixture
def dialog(parent: QWidget) -> TemplateDialog:
    return TemplateDialog(parent, {"taken"}.__contains__)


def choose(dialog: TemplateDialog, suite: str) -> None:
    dialog.fields.suite.setCurrentIndex(dialog.fields.suite.findData(suite))


def test_as_it_opens_it_can_be_built(dialog: TemplateDialog) -> None:
    assert dialog.ok.isEnabled()
    assert dialog.name.text() == TEMPLATE_NAMES[SUITES[0]]
    recipe = dialog.fields.recipe()
    assert recipe == TemplateRecipe(SUITES[0], packages=SUGGESTED_PACKAGES)
    recipe.check()


def test_the_proposed_name_follows_the_release_until_one_is_typed(dialog: TemplateDialog) -> None:
    choose(dialog, "trixie")
    assert dialog.name.text() == "debian-13"
    dialog.name.setText("mine")
    choose(dialog, "bookworm")
    assert dialog.name.text() == "mine"


def test_what_is_built_from_source_for_a_release_is_said_beforehand(dialog: TemplateDialog) -> None:
    def told() -> list[str]:
        labels = dialog.findChildren(QLabel)
        return [label.text() for label in labels if "is built" in label.text() and label.isVisibleTo(dialog)]

    choose(dialog, "bookworm")
    [about_all] = told()
    choose(dialog, "trixie")
    assert told() == [about_all, XPRA_FOR_TRIXIE.describe("trixie")]


@pytest.mark.parametrize(
    ("field", "text"), [("name", "taken"), ("name", "9"), ("packages", "Bad_Name"), ("mirror", "ftp://x")]
)
def test_what_cannot_be_built_is_not(dialog: TemplateDialog, field: str, text: str) -> None:
    lines = {"name": dialog.name, "packages": dialog.fields.packages, "mirror": dialog.fields.mirror}
    before = lines[field].text()
    lines[field].setText(text)
    assert not dialog.ok.isEnabled()
    lines[field].setText(before)
    assert dialog.ok.isEnabled()


def test_the_fields_make_the_recipe_however_packages_are_set_apart(dialog: TemplateDialog) -> None:
    dialog.fields.packages.setText(" git,mutt  vim-tiny, ")
    dialog.fields.mirror.setText(" http://deb.example/debian ")
    dialog.fields.size.setValue(7)
    assert dialog.fields.recipe() == TemplateRecipe(
        SUITES[0], "http://deb.example/debian", ("git", "mutt", "vim-tiny"), 7 << 30
    )
