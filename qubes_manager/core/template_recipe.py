"""What a Debian template is made of."""

import re
from dataclasses import dataclass

from qubes_manager.core.errors import BadInput
from qubes_manager.core.source_build import XPRA_FOR_TRIXIE, SourceBuild

# The first is what is offered.
SUITES = ("trixie", "bookworm")
# What every template needs to serve: kernel, agent, windows, name service.
BASE_PACKAGES = (
    "linux-image-amd64",
    "initramfs-tools",
    "zstd",
    "systemd-sysv",
    "systemd-resolved",
    "udev",
    "dbus",
    "passwd",
    "sudo",
    "iproute2",
    "ca-certificates",
    "e2fsprogs",
    "qemu-guest-agent",
    "python3",
    # For a domain that is the network of others, and for one that leads them through a tunnel.
    "nftables",
    "wireguard-tools",
)
# What windows need of the packages of each.
_FOR_WINDOWS = (
    "xvfb",
    "xauth",
    "python3-gi",
    "python3-pil",
    "xclip",
    "xterm",
    "libglib2.0-bin",
    "gir1.2-gtk-3.0",
    "hicolor-icon-theme",
    "librsvg2-common",
    # Draws PDF files for “Convert in disposable”.
    "poppler-utils",
    # What programs play to: more of them know it than any other.
    "pulseaudio",
)
WINDOW_PACKAGES = {
    "bookworm": ("xpra", "python3-lz4", *_FOR_WINDOWS),
    "trixie": (*_FOR_WINDOWS, *XPRA_FOR_TRIXIE.libraries),
}
# And what they need beside those.
SOURCE_BUILDS = {"trixie": XPRA_FOR_TRIXIE}
# What a person wants to find in a first template.
SUGGESTED_PACKAGES = ("firefox-esr", "mousepad", "thunar", "file-roller", "fonts-dejavu")
DEFAULT_SIZE = 20 << 30
_MIN_SIZE, _MAX_SIZE = 3 << 30, 1 << 42
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,100}", re.ASCII)
_MIRROR = re.compile(r"(https?|file)://[A-Za-z0-9._~:/@%+-]{1,300}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TemplateRecipe:
    """Suite, mirror (empty: Debian's own), further packages, and the size of the root file system in bytes.

    Without *windows* it has nothing of what application windows need.
    """

    suite: str = SUITES[0]
    mirror: str = ""
    packages: tuple[str, ...] = ()
    size: int = DEFAULT_SIZE
    windows: bool = True

    @property
    def all_packages(self) -> tuple[str, ...]:
        """What is installed, each once."""
        windows = WINDOW_PACKAGES[self.suite] if self.windows else ()
        return tuple(dict.fromkeys((*BASE_PACKAGES, *windows, *self.packages)))

    @property
    def source_build(self) -> SourceBuild | None:
        """What has to be built from source for it; None where all is among the release's packages."""
        return SOURCE_BUILDS.get(self.suite) if self.windows else None

    def check(self) -> None:
        """Raise BadInput for the first field that cannot be used."""
        if self.suite not in SUITES:
            raise BadInput("suite", self.suite, f"use one of {', '.join(SUITES)}")
        if self.mirror and not _MIRROR.fullmatch(self.mirror):
            raise BadInput("mirror", self.mirror[:80], "give an address that starts with http:// or https://")
        for package in self.packages:
            if not _PACKAGE.fullmatch(package):
                raise BadInput("packages", package[:80], "a package's name has small letters, digits, “+”, “-” and “.”")
        if not _MIN_SIZE <= self.size <= _MAX_SIZE:
            raise BadInput("size", str(self.size), "give 3G to 4T")
