"""Asking udisks (https://storaged.org/doc/udisks2-api/latest/), the desktop's keeper of drives, by D-Bus."""

import asyncio
import contextlib
import errno
import os

from dbus_fast import BusType, Message, MessageFlag, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import AuthError

from qubes_manager.core.errors import NotFound, QubesManagerError, Refused, TimedOut
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.text import one_line

_NAME = "org.freedesktop.UDisks2"
_MANAGER = "/org/freedesktop/UDisks2/Manager"
# Seconds for an answer for which nobody is asked.
_PATIENCE = 20.0
_MISSING = (
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.Spawn.ServiceNotFound",
)


async def open_by_udisks(path: str, flags: int, patience: float, *, read_only: bool) -> int:
    """Have udisks open the block device at *path* with open(2)'s *flags*, and return the descriptor.

    *patience* is in seconds: the user may be asked for a password. Raises NotFound, Refused, TimedOut.
    """
    bus = await _connected()
    try:
        found = await _call(bus, _MANAGER, "Manager", "ResolveDevice", "a{sv}a{sv}", [{"path": Variant("s", path)}, {}])
        if not found.body[0]:
            raise NotFound(f"udisks knows no block device {path}: it was taken out, or is hidden from users")
        # Access is asked for by the mode; the rest are flags.
        options = {"flags": Variant("i", flags & ~(os.O_ACCMODE | os.O_CLOEXEC))}
        mode = "r" if read_only else "rw"
        opened = await _call(bus, found.body[0][0], "Block", "OpenDevice", "sa{sv}", [mode, options], patience)
        return _taken(opened)
    except _Failed as error:
        raise _explained(path, error) from error
    finally:
        bus.disconnect()
        with contextlib.suppress(Exception):
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


class _Failed(Exception):
    """What the other side answered: the error's name and its text."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(one_line(text, 300))
        self.name = name


async def _connected() -> MessageBus:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True).connect()
    except (OSError, EOFError, TimeoutError, AuthError) as error:
        raise Refused(
            "the system's message bus (D-Bus) does not answer, and without it an ordinary user has no way to a device"
        ) from error


async def _call(
    bus: MessageBus, path: str, interface: str, member: str, signature: str, body: list[object], wait: float = _PATIENCE
) -> Message:
    message = Message(
        destination=_NAME,
        path=path,
        interface=f"{_NAME}.{interface}",
        member=member,
        signature=signature,
        body=body,
        # The desktop asks for a password where one is wanted.
        flags=MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION,
    )
    try:
        async with asyncio.timeout(wait):
            answer = await bus.call(message)
    except TimeoutError:
        raise TimedOut(f"udisks did not answer within {wait:.0f} s") from None
    except (OSError, EOFError) as error:
        raise QubesManagerError("the system's message bus hung up") from error
    if answer is None:
        raise QubesManagerError("the system's message bus hung up")
    if answer.message_type is not MessageType.METHOD_RETURN:
        raise _Failed(answer.error_name or "", str(answer.body[0]) if answer.body else "")
    return answer


def _taken(answer: Message) -> int:
    """The descriptor that came with an answer; any more are closed."""
    if not answer.unix_fds:
        raise QubesManagerError("udisks says that it has opened the device, and does not hand it over")
    first, *others = answer.unix_fds
    for other in others:
        os.close(other)
    os.set_inheritable(first, False)
    return int(first)


def _explained(path: str, error: _Failed) -> QubesManagerError:
    if error.name in _MISSING:
        return Refused("udisks is not installed, which opens devices for ordinary users: install udisks2 and try again")
    if error.name.startswith(f"{_NAME}.Error.NotAuthorized"):
        if error.name.endswith("Dismissed"):
            return Refused(f"{path} was not opened: the question for the password was closed")
        if error.name.endswith("CanObtain"):
            return Refused(
                f"{path} was not opened: a password is wanted, and nothing here asks for it: start your desktop's "
                "polkit agent (or pkttyagent in another terminal), and try again"
            )
        return Refused(
            f"{path} was not opened: this machine's rules do not let you (polkit's action "
            "org.freedesktop.udisks2.open-device)"
        )
    text = str(error)
    if os.strerror(errno.EBUSY) in text:
        return Refused(f"{HOST_NAME} uses {path}: unmount it there, or close what has it open, and try again")
    if os.strerror(errno.EROFS) in text:
        return Refused(f"{path} can only be read: attach it read-only")
    if os.strerror(errno.ENOMEDIUM) in text:
        return Refused(f"there is nothing in {path}: put a disc or card in and try again")
    return QubesManagerError(f"{path} cannot be opened: {text}")
