"""The checksum that a user has for an image, compared with the bytes as they pass."""

import hashlib
import hmac

from qubes_manager.core.creation_request import parse_checksum
from qubes_manager.core.errors import Refused


class Checksum:
    """Hears all bytes of a file, and says at the end whether they are those of the checksum *text*.

    Without a text any bytes will do. Raises BadInput when it is no checksum.
    """

    def __init__(self, text: str = "") -> None:
        self._algorithm, self._wanted = parse_checksum(text) if text else ("", "")
        self._digest = hashlib.new(self._algorithm) if text else None

    def __bool__(self) -> bool:
        """Whether there is anything to compare."""
        return self._digest is not None

    def update(self, data: bytes) -> None:
        """The bytes that come next."""
        if self._digest:
            self._digest.update(data)

    def require(self, name: str) -> str:
        """Return what was found (``sha256:…``); raises Refused when the file called *name* is another one."""
        if not self._digest:
            return ""
        found = self._digest.hexdigest()
        if not hmac.compare_digest(found, self._wanted):
            raise Refused(
                f"“{name}” is not the image that the checksum belongs to: "
                f"expected {self._wanted}, found {found}; nothing was created"
            )
        return f"{self._algorithm}:{found}"
