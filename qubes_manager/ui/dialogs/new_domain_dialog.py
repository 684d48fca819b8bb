"""Making a domain from a template, a disk image or an ISO."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtWidgets import QCheckBox, QLineEdit, QWidget

from qubes_manager.core.creation_request import (
    DEFAULT_MEMORY,
    DEFAULT_VCPUS,
    PRIVATE_SIZE,
    CreationRequest,
    check_passphrase,
    parse_checksum,
)
from qubes_manager.core.domain import DomainClass
from qubes_manager.core.errors import BadInput, Refused
from qubes_manager.core.names import check_name
from qubes_manager.core.values import MAX_MEMORY_MIB, MAX_VCPUS
from qubes_manager.services.network.choices import APART, NONE, Choice
from qubes_manager.ui.dialogs.form_dialog import FormDialog, label_box, number_box
from qubes_manager.ui.dialogs.image_field import ChecksumField, ImageField, TunnelField
from qubes_manager.ui.look.fields import ComboBox

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of domain that can be made: in words, and what it needs."""

    text: str
    klass: DomainClass
    from_template: bool
    for_disposables: bool = False
    for_tunnel: bool = False


KINDS = (
    Kind("AppVM: a fresh system from a template at each start", DomainClass.APP, True),
    Kind("AppVM that disposables are made of", DomainClass.APP, True, True),
    Kind("AppVM for a VPN: others go through its tunnel, or nowhere", DomainClass.APP, True, for_tunnel=True),
    Kind("StandaloneVM: a template’s system of its own", DomainClass.STANDALONE, True),
    Kind("StandaloneVM from a disk image or an ISO", DomainClass.STANDALONE, False),
    Kind("TemplateVM from a disk image", DomainClass.TEMPLATE, False),
)
_FIRST_WITH_IMAGE = 4


@dataclass(frozen=True, slots=True)
class Offer:
    """What a connection has to offer to a new domain."""

    uri: str
    templates: Sequence[str] = ()
    default_template: str = ""
    networks: Sequence[Choice] = (APART, NONE)
    default_netvm: str = "isolated"
    pools: Sequence[str] = ()
    default_pool: str = ""


class NewDomainDialog(FormDialog):
    """Asks for what a new domain needs; with a template, name and colour are enough."""

    def __init__(self, parent: QWidget, offers: Sequence[Offer], is_taken: Callable[[str, str], bool]) -> None:
        super().__init__(parent, "New domain", "Create")
        self._is_taken = is_taken
        self._offers = {offer.uri: offer for offer in offers}
        self.connection = ComboBox()
        self.connection.addItems(list(self._offers))
        self.name = QLineEdit()
        self.name.setPlaceholderText("work")
        self.label = label_box("blue")
        self.kind = ComboBox()
        self.kind.addItems([kind.text for kind in KINDS])
        self.template, self.network, self.pool = ComboBox(), ComboBox(), ComboBox()
        self.image = ImageField()
        self.checksum = ChecksumField(self.image)
        self.tunnel = TunnelField()
        self.cloud = QCheckBox("It is a cloud image: give it a user and an agent")
        self.uefi = QCheckBox("Boot it by UEFI")
        self.memory = number_box(64, MAX_MEMORY_MIB, DEFAULT_MEMORY, " MiB")
        self.vcpus = number_box(1, MAX_VCPUS, DEFAULT_VCPUS, "")
        self.private = number_box(1, 1 << 14, PRIVATE_SIZE // _GIB, " GiB")
        self.passphrase = QLineEdit()
        self.passphrase.setEchoMode(QLineEdit.EchoMode.Password)
        self.passphrase.setPlaceholderText("empty: not encrypted; else asked for at each start")
        self.start = QCheckBox("Start it now")
        self._add_fields(len(offers) > 1)
        self._connect()
        self._take_offer()
        self.kind.setCurrentIndex(0 if self._offer.templates else _FIRST_WITH_IMAGE)
        self._show_kind()
        self.ok.setEnabled(False)
        self.finish(self.name)

    def _add_fields(self, many: bool) -> None:
        self.add_field("Name", self.name, self._check_name)
        self.add_field("Label", self.label)
        self.add_field("Kind", self.kind)
        self.add_field("Template", self.template, self._check_template)
        self.add_field("Image", self.image, self._check_image)
        self.add_field("Checksum", self.checksum, self._check_checksum)
        self.add_field("Cloud image", self.cloud)
        self.add_field("Firmware", self.uefi)
        self.add_field("WireGuard file", self.tunnel, self._check_tunnel)
        self.add_field("Network", self.network)
        self.add_field("Private data", self.private)
        self.add_field("Passphrase", self.passphrase, self._check_passphrase)
        self.add_field("Storage pool", self.pool)
        self.add_field("Memory", self.memory)
        self.add_field("Processors", self.vcpus)
        if many:
            self.add_field("Connection", self.connection)
        self.add_field("Then", self.start)

    def _connect(self) -> None:
        for field in (self.name, self.image.path, self.checksum.text, self.passphrase, self.tunnel.path):
            field.textChanged.connect(self.validate)
        self.connection.currentTextChanged.connect(lambda _text: self._take_offer())
        self.kind.currentIndexChanged.connect(lambda _index: self._show_kind())

    @property
    def _offer(self) -> Offer:
        return self._offers[self.connection.currentText()]

    @property
    def _kind(self) -> Kind:
        return KINDS[self.kind.currentIndex()]

    def _take_offer(self) -> None:
        """Offer the templates and networks of the connection."""
        offer = self._offer
        self.template.clear()
        for template in offer.templates:
            self.template.offer(template)
        self.template.setCurrentIndex(max(self.template.findData(offer.default_template), 0))
        self.network.clear()
        for text, value in offer.networks:
            self.network.offer(text, value)
        if self.network.findData(offer.default_netvm) < 0:
            # A bridge, or a network that is not active now; one that is not there at all is refused by its name.
            self.network.offer(offer.default_netvm)
        self.network.setCurrentIndex(self.network.findData(offer.default_netvm))
        self.pool.clear()
        for pool in offer.pools:
            self.pool.offer(pool)
        self.pool.setCurrentIndex(max(self.pool.findData(offer.default_pool), 0))
        self.show_field(self.pool, len(offer.pools) > 1)
        self.validate()

    def _show_kind(self) -> None:
        """Show the fields that the kind needs."""
        kind = self._kind
        is_app = kind.klass is DomainClass.APP
        for field, shown in (
            (self.template, kind.from_template),
            (self.image, not kind.from_template),
            (self.checksum, not kind.from_template),
            (self.cloud, not kind.from_template),
            (self.uefi, not kind.from_template),
            (self.tunnel, kind.for_tunnel),
            (self.network, not kind.for_tunnel),
            (self.private, is_app),
            # It starts by itself, when a domain does whose network it is.
            (self.passphrase, is_app and not kind.for_tunnel),
            (self.start, not kind.for_tunnel),
        ):
            self.show_field(field, shown)
        self.validate()

    def _check_name(self) -> None:
        check_name(self.name.text())
        if self._is_taken(self.connection.currentText(), self.name.text()):
            raise Refused("there is a domain of that name already; choose another")

    def _check_template(self) -> None:
        if self._kind.from_template and not self.template.currentData():
            raise Refused("there is no template yet: make one first (File, New template…)")

    def _check_image(self) -> None:
        # Whether the file is there and what it is, is looked at when the domain is created: not on this thread.
        if not self._kind.from_template and not self.image.value:
            raise BadInput("image", "", "choose a disk image or an ISO")

    def _check_checksum(self) -> None:
        if not self._kind.from_template and self.checksum.value:
            parse_checksum(self.checksum.value)

    def _check_tunnel(self) -> None:
        if self._kind.for_tunnel and not self.tunnel.value:
            raise BadInput("WireGuard file", "", "choose the file of the tunnel")

    def _check_passphrase(self) -> None:
        if self._kind.klass is DomainClass.APP and self.passphrase.text():
            check_passphrase(self.passphrase.text())

    @property
    def tunnel_file(self) -> Path | None:
        """The file of the tunnel that the domain is made for; None for any other domain."""
        return Path(self.tunnel.value) if self._kind.for_tunnel else None

    def request(self) -> tuple[str, CreationRequest]:
        """The connection and what to make on it."""
        kind = self._kind
        is_app, from_image = kind.klass is DomainClass.APP, not kind.from_template
        return self.connection.currentText(), CreationRequest(
            name=self.name.text(),
            label=self.label.currentData(),
            klass=kind.klass,
            template=self.template.currentData() if kind.from_template else "",
            image=Path(self.image.value) if from_image else None,
            checksum=self.checksum.value if from_image else "",
            seed=from_image and self.cloud.isChecked(),
            uefi=from_image and self.uefi.isChecked(),
            memory=self.memory.value(),
            vcpus=self.vcpus.value(),
            netvm=self.network.currentData(),
            private_size=self.private.value() * _GIB,
            passphrase=self.passphrase.text() if is_app and not kind.for_tunnel else "",
            template_for_dispvms=kind.for_disposables,
            pool=self.pool.currentData() or "",
        )
