"""The guest tools as an archive, for guests that were not built with them."""

import gzip
import io
import tarfile

from qubes_manager.backend.guests.guest_tools import tool_files


def tools_archive() -> bytes:
    """Return the tools as a packed tar archive that is the same each time."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for place, file in sorted(tool_files().items()):
            info = tarfile.TarInfo(place)
            info.size, info.mode = len(file.data), file.mode
            archive.addfile(info, io.BytesIO(file.data))
    return gzip.compress(packed.getvalue(), mtime=0)
