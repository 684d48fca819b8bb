"""Whether a host is this machine."""

from urllib.parse import urlsplit


def is_local(uri: str) -> bool:
    """Whether a connection's domains run on this machine, so that their paths are this machine's."""
    return not urlsplit(uri).netloc
