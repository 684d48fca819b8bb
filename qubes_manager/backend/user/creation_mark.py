"""Which creations of domains this user has begun and not ended, beside what the domains' XML says of them.

Another program may keep a domain's XML from the middle of its creation, in an editor for one, and write it back when
the domain is whole: by its XML it could not be told from one whose maker has died. All functions block.
"""

from pathlib import Path

from qubes_manager.backend.user.user_folder import user_folder


def mark_begun(uuid: str) -> None:
    """A domain with that UUID is being made from now on; raises Refused, OSError."""
    _mark(uuid).touch(mode=0o600)


def mark_ended(uuid: str) -> None:
    """It is whole, or nothing is left of it."""
    _mark(uuid).unlink(missing_ok=True)


def is_begun(uuid: str) -> bool:
    """Whether its creation was begun by this user on this machine and has not ended."""
    return _mark(uuid).exists()


def _mark(uuid: str) -> Path:
    return user_folder() / f"making-{uuid}"
