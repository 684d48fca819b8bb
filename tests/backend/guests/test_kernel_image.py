"""A kernel taken out of its packed image."""

import lzma
import struct

import pytest

from qubes_manager.backend.guests.kernel_image import unpacked

KERNEL = b"\x7fELF" + b"code" * 1000 + struct.pack("<III", 4, 8, 18) + b"Xen\0" + bytes(8)


def image(kernel: bytes, packed: bytes | None = None) -> bytes:
    """A packed image: a header of two sectors, some code, the kernel."""
    payload = (lzma.compress(kernel) if packed is None else packed) + struct.pack("<I", len(kernel))
    header = bytearray(2 * 512)
    header[0x1F1] = 1
    header[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", header, 0x248, 100, len(payload))
    return bytes(header) + bytes(100) + payload + b"signature"


def test_the_kernel_is_taken_out() -> None:
    assert unpacked(image(KERNEL)) == KERNEL


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"no kernel",
        KERNEL,
        image(KERNEL, b"\x28\xb5\x2f\xfd" + KERNEL),
        image(KERNEL, lzma.compress(KERNEL)[:60]),
        image(KERNEL.replace(b"Xen", b"NoX")),
        image(KERNEL[4:]),
        image(KERNEL)[:-40],
    ],
    ids=["nothing", "text", "unpacked", "packed otherwise", "broken", "no entry", "no program", "cut"],
)
def test_what_cannot_be_started_otherwise_stays_as_it_is(packed: bytes) -> None:
    assert unpacked(packed) == packed
