"""The form by which domains are made."""

from pathlib import Path

from PySide6.QtWidgets import QWidget

from qubes_manager.core.domain import DomainClass
from qubes_manager.services.network.choices import APART, NONE
from qubes_manager.ui.dialogs.new_domain_dialog import KINDS, NewDomainDialog, Offer

NETWORKS = [APART, NONE]


def test_the_new_domain_form_says_what_is_wrong_beside_the_field(parent: QWidget) -> None:
    dialog = NewDomainDialog(parent, [Offer("test:///x")], lambda _uri, name: name == "taken")
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
    assert (uri, request.name, request.label, request.netvm) == ("test:///x", "fine", "blue", "isolated")
    dialog.kind.setCurrentIndex(0)
    assert not dialog.ok.isEnabled(), "there is no template to make an AppVM from"


def test_with_a_template_name_and_colour_are_enough(parent: QWidget) -> None:
    offer = Offer("test:///x", ["debian-12", "debian-13"], "debian-13", [*NETWORKS, ("network default", "default")], "")
    dialog = NewDomainDialog(parent, [offer], lambda _uri, _name: False)
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


def test_a_domain_for_a_vpn_needs_its_file_and_no_network(parent: QWidget) -> None:
    dialog = NewDomainDialog(parent, [Offer("test:///x", ["debian-13"], "debian-13")], lambda *_: False)
    dialog.show()
    assert not dialog.tunnel.isVisible()
    assert dialog.tunnel_file is None
    dialog.name.setText("vpn")
    dialog.passphrase.setText("a long enough one")
    dialog.kind.setCurrentIndex([kind.for_tunnel for kind in KINDS].index(True))
    assert dialog.tunnel.isVisible()
    assert not any(field.isVisible() for field in (dialog.network, dialog.passphrase, dialog.start))
    assert not dialog.ok.isEnabled()
    dialog.tunnel.path.setText("/some/provider.conf")
    assert dialog.ok.isEnabled()
    _uri, request = dialog.request()
    request.check()
    assert (request.klass, request.passphrase) == (DomainClass.APP, "")
    assert dialog.tunnel_file == Path("/some/provider.conf")
    dialog.kind.setCurrentIndex(0)
    assert dialog.tunnel_file is None


def test_a_default_network_that_no_list_has_is_offered_all_the_same(parent: QWidget) -> None:
    dialog = NewDomainDialog(
        parent, [Offer("test:///x", networks=NETWORKS, default_netvm="bridge:br0")], lambda *_: False
    )
    assert dialog.network.currentData() == "bridge:br0"
