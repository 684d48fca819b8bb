"""Linux's kernel as it lies in memory: to unpack it takes an emulated processor as long as the rest of a small boot.

Where its packed image has the kernel: Linux, Documentation/arch/x86/boot.rst. QEMU starts what is unpacked by its
entry for PVH (Xen, docs/misc/pvh.pandoc), which distributions' kernels have.
"""

import lzma
import struct

_SECTOR = 512
# Places in the header, of the number of its sectors, its mark, and where and how long the packed kernel is.
_SECTORS, _MARK, _PAYLOAD = 0x1F1, 0x202, 0x248
_XZ = b"\xfd7zXZ\0"
# The head of the note that names the entry: the note's type and its owner.
_ENTRY = b"\x12\0\0\0Xen\0"
# Bytes of an unpacked kernel that we would take.
_LIMIT = 256 << 20


def unpacked(image: bytes) -> bytes:
    """Return the kernel of *image* unpacked; the image as it is where it is packed otherwise or has no such entry."""
    if len(image) < _PAYLOAD + 8 or image[_MARK : _MARK + 4] != b"HdrS":
        return image
    offset, length = struct.unpack_from("<II", image, _PAYLOAD)
    start = (image[_SECTORS] + 1) * _SECTOR + offset
    packed = image[start : start + length]
    if not packed.startswith(_XZ):
        return image
    try:
        # Behind the stream stands the size of what it gives.
        kernel = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(packed, _LIMIT)
    except lzma.LZMAError:
        return image
    is_whole = kernel.startswith(b"\x7fELF") and struct.pack("<I", len(kernel)) == packed[-4:]
    return kernel if is_whole and _ENTRY in kernel else image
