"""The forms by which domains and templates are made."""

import asyncio

from PySide6.QtWidgets import QLabel

from qubes_manager.core.domain import DomainClass
from qubes_manager.services.hosts.networks import NONE, USER
from qubes_manager.services.setup.host_check import Finding, Verdict
from qubes_manager.ui.dialogs.image_field import ChecksumField, ImageField
from qubes_manager.ui.dialogs.new_domain_dialog import NewDomainDialog, Offer
from qubes_manager.ui.dialogs.setup_assistant import SetupAssistant
from tests.ui.conftest import run

NETWORKS = [USER, NONE]


def test_the_new_domain_form_says_what_is_wrong_beside_the_field(qtbot) -> None:
    dialog = NewDomainDialog(None, [Offer("test:///x")], lambda _uri, name: name == "taken")
    qtbot.addWidget(dialog)
    # Without a template it is about images.
    assert not dialog.ok.isEnabled()
    dialog.image.path.setText("/some/image.qcow2")
    for name, good in (("1st", False), ("taken", False), ("fine", True)):
        dialog.name.setText(name)
        assert dialog.ok.isEnabled() is good
    dialog.checksum.text.setText("xyz")
    assert not dialog.ok.isEnabled()
    dialog.checksum.text.setText("0" * 64)
    uri, request = dialog.request()
    assert (uri, request.name, request.label, request.netvm) == ("test:///x", "fine", "blue", "user")
    dialog.kind.setCurrentIndex(0)
    assert not dialog.ok.isEnabled(), "there is no template to make an AppVM from"


def test_with_a_template_name_and_colour_are_enough(qtbot) -> None:
    offer = Offer("test:///x", ["debian-12", "debian-13"], "debian-13", [*NETWORKS, ("network default", "default")], "")
    dialog = NewDomainDialog(None, [offer], lambda _uri, _name: False)
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.template.isVisible()
    assert not dialog.image.isVisible()
    dialog.name.setText("work")
    assert dialog.ok.isEnabled()
    _uri, request = dialog.request()
    request.check()
    assert (request.klass, request.template, request.netvm) == (DomainClass.APP, "debian-13", "")
    dialog.passphrase.setText("short")
    assert not dialog.ok.isEnabled()
    dialog.kind.setCurrentIndex(1)
    dialog.passphrase.clear()
    assert dialog.request()[1].template_for_dispvms


def test_a_checksum_is_taken_from_a_list(qtbot, loop, tmp_path) -> None:
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{'1' * 64}  other.iso\n{'a' * 64} *debian.qcow2\nSHA256 (bsd.img) = {'b' * 64}\n")
    image = ImageField()
    field = ChecksumField(image)
    for widget in (image, field):
        qtbot.addWidget(widget)

    async def take(name: str) -> str:
        image.path.setText(f"/images/{name}")
        field.take_from(str(sums))
        await asyncio.sleep(0.2)
        return field.value or field.text.placeholderText()

    assert run(loop, take("debian.qcow2")) == "a" * 64
    assert run(loop, take("bsd.img")) == "b" * 64
    assert "has no checksum for “missing.img”" in run(loop, take("missing.img"))


def test_the_assistant_collects_a_plan_and_says_what_is_wrong(qtbot, loop) -> None:
    async def check() -> list[Finding]:
        return [Finding("KVM", Verdict.POOR, "there is none", "Buy a new machine.")]

    async def walk() -> None:
        assistant = SetupAssistant(None, check, [], ["work"])
        qtbot.addWidget(assistant)
        assistant.show()
        await asyncio.sleep(0.05)
        assert any("Buy a new machine." in label.text() for label in assistant.host.findChildren(QLabel))
        page = assistant.template
        page.recipe.packages.setText("firefox-esr, Bad_Name")
        assert not page.isComplete()
        assert "Bad_Name" in page.problem.text()
        page.recipe.packages.setText("firefox-esr, mousepad")
        assert page.isComplete()
        _wanted, name, _label = assistant.domains.rows[2]
        name.setText("9lives")
        assert not assistant.domains.isComplete()
        name.setText("surf")
        assert assistant.domains.isComplete()
        plan = assistant.plan()
        assert plan.recipe.packages == ("firefox-esr", "mousepad")
        assert plan.domains == (("personal", "yellow"), ("surf", "red")), "work is there already"
        page.skip.setChecked(True)
        assert assistant.plan() is None

    run(loop, walk())
