"""Checksums that come in a file."""

from pathlib import Path

from qubes_manager.backend.storage.image_files import checksum_from_list


def checksum_for(path: Path, image: Path) -> str:
    """Return the digest that a SHA256SUMS or SHA512SUMS file has for *image*; raises NotFound, BadInput. Blocks."""
    return checksum_from_list(path.expanduser(), image.name)
