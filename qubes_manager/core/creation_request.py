"""What the user wants made, and what each field may be."""

import re
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.core.domain import DomainClass
from qubes_manager.core.errors import BadInput
from qubes_manager.core.firewall.firewall import Firewall
from qubes_manager.core.interfaces import ISOLATED, parse_netvm
from qubes_manager.core.labels import LABELS
from qubes_manager.core.names import check_name
from qubes_manager.core.sizes import format_size
from qubes_manager.core.values import MAX_MEMORY_MIB, MAX_VCPUS

_DIGESTS = {64: "sha256", 128: "sha512"}
# A new disk to install into; it takes only what is written to it.
INSTALL_SIZE = 20 << 30
PRIVATE_SIZE = 10 << 30
MIN_PRIVATE, MAX_VOLUME = 64 << 20, 1 << 46
DEFAULT_MEMORY, DEFAULT_VCPUS = 2048, 2
# A LUKS passphrase shorter than this is found by trying.
MIN_PASSPHRASE, MAX_PASSPHRASE = 8, 512
_MADE = (DomainClass.APP, DomainClass.STANDALONE, DomainClass.TEMPLATE)


@dataclass(frozen=True, slots=True)
class CreationRequest:
    """What the user wants made.

    Its system comes from *template* (by name), or is a copy of *image* (which *move* then deletes; an ISO is booted
    from instead). A packed image has at most *unpack_limit* bytes in it, 0 for as many as are free. *memory* and
    *max_memory* are in MiB, sizes in bytes. *netvm* is what ``parse_netvm`` reads, or empty for no network. With a
    *passphrase* the private volume is encrypted. With *seed* a cloud image is told of the user and of the private
    volume.
    """

    name: str
    label: str
    klass: DomainClass = DomainClass.STANDALONE
    template: str = ""
    image: Path | None = None
    move: bool = False
    checksum: str = ""
    unpack_limit: int = 0
    seed: bool = False
    memory: int = DEFAULT_MEMORY
    max_memory: int = 0
    vcpus: int = DEFAULT_VCPUS
    netvm: str = ISOLATED
    private_size: int = PRIVATE_SIZE
    install_size: int = INSTALL_SIZE
    pool: str = ""
    private_pool: str = ""
    passphrase: str = ""
    virt_mode: str = ""
    kernelopts: str = ""
    template_for_dispvms: bool = False
    provides_network: bool = False
    firewall: Firewall | None = None
    include_in_backups: bool = True
    autostart: bool = False
    default_dispvm: str = ""
    uefi: bool = False
    graphics: bool = True

    def check(self) -> None:
        """Raise BadInput for the first field that cannot be used."""
        check_name(self.name)
        if self.label not in LABELS:
            raise BadInput("label", self.label, f"use one of {', '.join(LABELS)}")
        if self.klass not in _MADE:
            raise BadInput("class", self.klass, f"use one of {', '.join(_MADE)}")
        self._check_source()
        if self.netvm:
            parse_netvm(self.netvm)
        if not 64 <= self.memory <= MAX_MEMORY_MIB:
            raise BadInput("memory", str(self.memory), "give 64 MiB or more")
        if self.max_memory and not self.memory <= self.max_memory <= MAX_MEMORY_MIB:
            raise BadInput("maxmem", str(self.max_memory), f"give the memory ({self.memory} MiB) or more")
        if not 1 <= self.vcpus <= MAX_VCPUS:
            raise BadInput("vcpus", str(self.vcpus), f"give 1 to {MAX_VCPUS}")
        check_volume_size(self.private_size, "private size")
        if self.virt_mode not in ("", "kvm", "qemu"):
            raise BadInput("virt_mode", self.virt_mode, "use kvm or qemu")
        if self.passphrase:
            check_passphrase(self.passphrase)
        if self.template_for_dispvms and self.klass is not DomainClass.APP:
            raise BadInput("template_for_dispvms", "True", "only an AppVM can be the template of disposables")

    def _check_source(self) -> None:
        if self.klass is DomainClass.APP:
            if not self.template:
                raise BadInput("template", "", "an AppVM needs a template; make or import one first")
            if self.image:
                raise BadInput("image", str(self.image), "an AppVM takes its system from its template")
        elif self.image is None and not (self.template and self.klass is DomainClass.STANDALONE):
            raise BadInput("image", "", "name a disk image or an ISO to make the domain from")
        elif self.image and self.template:
            raise BadInput("template", self.template, "name either a template or an image")
        if self.passphrase and self.klass is not DomainClass.APP:
            raise BadInput("passphrase", "…", "only the private volume of an AppVM can be encrypted")
        if self.autostart and self.klass is DomainClass.TEMPLATE:
            raise BadInput("autostart", "True", "a template does not start with the host: domains start without it")
        if self.checksum:
            parse_checksum(self.checksum)


def check_volume_size(size: int, field: str) -> None:
    """Raise BadInput when a volume cannot have *size* bytes."""
    if not MIN_PRIVATE <= size <= MAX_VOLUME:
        raise BadInput(field, str(size), f"give {format_size(MIN_PRIVATE)} to {format_size(MAX_VOLUME)}")


def check_passphrase(text: str) -> None:
    """Raise BadInput when *text* cannot be a passphrase."""
    if not MIN_PASSPHRASE <= len(text) <= MAX_PASSPHRASE or not text.isprintable():
        raise BadInput(
            "passphrase", f"{len(text)} characters", f"use {MIN_PASSPHRASE} to {MAX_PASSPHRASE} printable ones"
        )


def parse_checksum(text: str) -> tuple[str, str]:
    """Return algorithm and digest of a SHA-256 or SHA-512 as it is pasted; raises BadInput."""
    word = (text.split() or [""])[0].lower()
    word = re.sub(r"^sha(256|512):", "", word)
    if not re.fullmatch(r"[0-9a-f]+", word) or len(word) not in _DIGESTS:
        raise BadInput("checksum", text[:80], "give a SHA-256 or SHA-512 in hexadecimal digits")
    return _DIGESTS[len(word)], word
