"""Conversations of real servers, for the fuzzer: ``python -m tests.viewers.wire.corpus`` records them anew."""

import tempfile
import zlib
from pathlib import Path

from qubes_manager.viewers.protocol import packets
from qubes_manager.viewers.protocol.packets import Box
from qubes_manager.viewers.wire.framing import FrameReader, frame
from tests.native_guest import NativeGuest
from tests.viewers.wire.saying import FORMS
from tests.xpra_tree import SUITES

FOLDER = Path(__file__).with_name("corpus")
# Of a server's hello what says nothing of the machine that it ran on.
_KEPT = ("version", "windows", "keyboard", "pointer", "server_type", "exit_server", "sharing")


def conversations() -> dict[str, bytes]:
    """What each server said, by its version."""
    return {version: zlib.decompress((FOLDER / f"xpra-{version}").read_bytes()) for version in FORMS}


def record(version: str, folder: Path) -> bytes:
    """Let a server say one of each kind of packet, and return it all."""
    from tests.viewers.protocol.talk import talking

    guest = NativeGuest(folder / "guest", version)
    try:
        guest.terminal("Grüße", "exec cat", "-geometry", "8x3")
        with talking(guest) as talk:
            talk.until(lambda: talk.window("Grüße"))
            made = talk.window("Grüße")
            assert made
            talk.until(lambda: talk.pictures(made.wid) and talk.of(packets.WindowIcon))
            box = made.box
            talk.say(packets.ConfigureWindow(made.wid, Box(box.x, box.y, box.width + 12, box.height + 13)))
            talk.say(packets.PointerPosition(made.wid, box.x + 9, box.y + 9))
            talk.until(lambda: talk.of(packets.Cursor))
            guest.be_hostile("menu")
            talk.until(lambda: [menu for menu in talk.of(packets.NewWindow) if not menu.managed])
            talk.say(packets.CloseWindow(made.wid))
            talk.until(lambda: packets.LostWindow(made.wid) in talk.heard)
            return _without_the_machine(bytes(talk.recorded), FORMS[version])
    finally:
        guest.close()


def _without_the_machine(said: bytes, form: int) -> bytes:
    """The same conversation, with a hello that names nothing of this machine."""
    whole = said.partition(b"\n")[2]
    (hello, *_rest) = FrameReader(form).feed(whole)
    assert isinstance(hello, list)
    capabilities = hello[1]
    assert isinstance(capabilities, dict)
    kept = {name: str(capabilities.get(name.encode(), "")) for name in _KEPT}
    version = capabilities[b"version"]
    assert isinstance(version, bytes)
    size = int.from_bytes(whole[4:8], "big")
    return frame(form, ["hello", {**kept, "version": version.decode()}]) + whole[8 + size :]


def main() -> None:
    """Record those of Debian's releases: for 5.1 a tree was made by hand."""
    FOLDER.mkdir(exist_ok=True)
    for version in SUITES:
        with tempfile.TemporaryDirectory() as folder:
            (FOLDER / f"xpra-{version}").write_bytes(zlib.compress(record(version, Path(folder)), 9))


if __name__ == "__main__":
    main()
