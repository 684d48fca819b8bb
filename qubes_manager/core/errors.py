"""The errors that reach a user: one plain line each, with the raw text kept apart."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qubes_manager.core.domain import DomainKey


class QubesManagerError(Exception):
    """Base of all errors shown to a user; ``str()`` is one plain line, ``details`` the raw text behind it."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class BadInput(QubesManagerError):
    """What the user gave cannot be used; says which field, what was found and what is allowed."""

    def __init__(self, field: str, found: str, allowed: str) -> None:
        super().__init__(f"{field}: {str(found)!r} cannot be used; {allowed}")
        self.field = field
        self.found = found


class NotFound(QubesManagerError):
    """A domain, device or file that was named does not exist."""


class Refused(QubesManagerError):
    """A rule of ours forbids the action now."""


class StateIsSaved(Refused):
    """A domain's saved state is in the way: what is changed now would not be what it goes on with.

    ``key`` is its domain, for who offers to discard the state.
    """

    def __init__(self, name: str, key: "DomainKey") -> None:
        super().__init__(
            f"“{name}” is saved, to go on as it was: start it and shut it down first, "
            "or discard its saved state (“Discard saved state”, or qvm-kill --discard-saved)"
        )
        self.key = key


class UnknownDisk(Refused):
    """A domain's disk is not the volume that is recorded for it: another program changed it."""


class Overtaken(Refused):
    """Somebody else has changed the same thing since it was read."""


class HostUnreachable(QubesManagerError):
    """A libvirt host does not answer, or does not let the user in."""


class HostCallFailed(QubesManagerError):
    """libvirt refused an action."""


class TimedOut(QubesManagerError):
    """Something did not answer in the time it was given."""


class GuestError(QubesManagerError):
    """The guest's agent is missing, or refused a command."""


class Cancelled(QubesManagerError):
    """The user stopped a long job; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("stopped; nothing was changed")
