"""The inter-domain clipboard in the broker; the guests are stand-ins that answer as they are told, or never."""

import asyncio
import time
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from qubes_manager.core.crossing.clipboard import Clipboard, Kind, Pasting
from qubes_manager.core.crossing.clipboard_messages import (
    CopyClipboard,
    GiveText,
    PasteClipboard,
    PutClipboard,
    TakeClipboard,
    WipeClipboard,
)
from qubes_manager.core.crossing.pixels import MOST_BYTES, pixel_header
from qubes_manager.core.domain import DomainKey, DomainState
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.services.broker.clipboard import clipboard as module
from tests.services.broker.clipboard.conftest import URI, Scene
from tests.waiting import until


def pressed(seconds_ago: float = 0) -> int:
    return int((module._now() - seconds_ago) * 1000)


async def test_what_is_copied_goes_to_the_named_domain_alone_and_once(scene: Scene) -> None:
    scene.guests.holds[scene.vault] = "pass\x1bwört\n".encode()
    assert await scene.say(CopyClipboard(scene.vault, pressed())) == (
        "Copied 10 bytes from “vault”. Press Ctrl+Shift+V over a window of the domain that is to get it, or choose "
        "“Paste into it” there."
    )
    status = await scene.status()
    assert (status.source, status.uuid, status.size) == ("vault", scene.vault, 10)
    said = await scene.say(PasteClipboard(scene.work, pressed(), 1500))
    assert said.startswith("Pasted 10 bytes from “vault” into “work”, and wiped")
    assert scene.guests.got == [(scene.work, "", "passwört\n".encode())]
    with pytest.raises(Refused, match="is empty"):
        await scene.ask(PasteClipboard(scene.third))
    assert [status.size for status in scene.told if not status.is_empty] == [10]
    assert scene.told[-1].is_empty
    assert {uuid for uuid, _service in scene.guests.asked} == {scene.vault, scene.work}


async def test_a_domain_does_not_get_its_own(scene: Scene) -> None:
    scene.guests.holds[scene.work] = b"text"
    await scene.ask(CopyClipboard(scene.work))
    with pytest.raises(Refused, match="came from “work” itself"):
        await scene.ask(PasteClipboard(scene.work))
    assert (await scene.status()).size == 4


async def test_a_window_that_has_just_taken_the_keyboard_gets_nothing_by_key(scene: Scene) -> None:
    scene.guests.holds[scene.vault] = b"text"
    await scene.ask(CopyClipboard(scene.vault))
    with pytest.raises(Refused, match="window of “third” took the keyboard less than a second before"):
        await scene.ask(PasteClipboard(scene.third, pressed(), 999))
    assert (await scene.status()).size == 4
    # Who has chosen the domain by name means it.
    await scene.ask(PasteClipboard(scene.work))
    assert scene.guests.got == [(scene.work, "", b"text")]


async def test_an_older_answer_that_comes_late_is_dropped(scene: Scene) -> None:
    scene.guests.holds = {scene.third: b"old", scene.vault: b"new"}
    answers = scene.guests.slow[scene.third] = asyncio.Event()
    slow = asyncio.create_task(scene.ask(CopyClipboard(scene.third)))
    await until(lambda: scene.guests.asked)
    await scene.ask(CopyClipboard(scene.vault))
    answers.set()
    with pytest.raises(Refused, match="“third” answered came too late"):
        await slow
    await scene.ask(PasteClipboard(scene.work))
    assert scene.guests.got == [(scene.work, "", b"new")]


async def test_operations_hold_in_the_order_of_their_keys(scene: Scene) -> None:
    scene.guests.holds = {scene.vault: b"new", scene.third: b"old"}
    await scene.ask(CopyClipboard(scene.vault, pressed(0)))
    with pytest.raises(Refused, match="before what was done since"):
        await scene.ask(CopyClipboard(scene.third, pressed(2)))
    with pytest.raises(Refused, match="too long ago"):
        await scene.ask(CopyClipboard(scene.third, pressed(61)))
    # A viewer that tells of the future keeps nobody from the clipboard.
    await scene.ask(CopyClipboard(scene.third, pressed(-3600)))
    await scene.ask(PasteClipboard(scene.work, pressed(), 2000))
    assert scene.guests.got == [(scene.work, "", b"old")]


async def test_a_paste_waits_for_the_copy_before_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[bool] = []

    def is_awaited(clipboard: Clipboard, pasting: Pasting) -> bool:
        waits.append(look(clipboard, pasting))
        return waits[-1]

    look = Clipboard.is_awaited
    monkeypatch.setattr(Clipboard, "is_awaited", is_awaited)
    scene.guests.holds = {scene.third: b"before", scene.vault: b"text"}
    await scene.ask(CopyClipboard(scene.third))
    answers = scene.guests.slow[scene.vault] = asyncio.Event()
    copy = asyncio.create_task(scene.ask(CopyClipboard(scene.vault)))
    await until(lambda: len(scene.guests.asked) == 2)
    paste = asyncio.create_task(scene.ask(PasteClipboard(scene.work)))
    await until(lambda: waits)
    assert (waits, scene.guests.got) == ([True], [])
    answers.set()
    await asyncio.gather(copy, paste)
    assert scene.guests.got == [(scene.work, "", b"text")]


async def test_a_copy_that_fails_leaves_nothing_that_could_be_pasted_in_its_place(scene: Scene) -> None:
    scene.guests.holds[scene.third] = b"stale"
    await scene.ask(CopyClipboard(scene.third))
    with pytest.raises(Refused, match="no text on the clipboard of “vault”"):
        await scene.ask(CopyClipboard(scene.vault))
    with pytest.raises(Refused, match="is empty"):
        await scene.ask(PasteClipboard(scene.work))


async def test_a_paste_that_fails_wipes_too(scene: Scene) -> None:
    scene.guests.holds[scene.vault] = b"text"
    await scene.ask(CopyClipboard(scene.vault))
    scene.guests.fails = "its tools do not answer"
    with pytest.raises(QubesManagerError, match="not pasted into “work”, and is wiped: its tools do not answer"):
        await scene.ask(PasteClipboard(scene.work))
    assert (await scene.status()).is_empty


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"\xff\xfe", "no text in UTF-8"),
        (b"x" * 64_001, "more than 64,000 bytes"),
        (b"x" * (MOST_BYTES + 2), "says more"),
    ],
    ids=["no UTF-8", "too long", "without end"],
)
async def test_what_a_hostile_guest_says_is_not_held(scene: Scene, said: bytes, words: str) -> None:
    scene.guests.holds[scene.third] = said
    with pytest.raises(QubesManagerError, match=words):
        await scene.ask(CopyClipboard(scene.third))
    assert (await scene.status()).is_empty


async def test_the_limit_is_the_domain_s_own(scene: Scene) -> None:
    scene.options = GuiOptions({"max_clipboard_size": 256}, {scene.vault: {"max_clipboard_size": 256_000}})
    scene.guests.holds = {scene.vault: b"x" * 256_000, scene.third: b"x" * 257}
    await scene.ask(CopyClipboard(scene.vault))
    with pytest.raises(Refused, match="more than 256 bytes"):
        await scene.ask(CopyClipboard(scene.third))


async def test_it_is_forgotten_when_its_time_is_over(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    # The machine sleeps meanwhile: its monotonic clock, which the loop goes by, stands still.
    offset, looks = 0.0, 0

    def since_boot() -> float:
        nonlocal looks
        looks += 1
        return time.monotonic() + offset

    async def until_looked() -> None:
        seen = looks
        await until(lambda: looks > seen + 1)

    monkeypatch.setattr(module, "_since_boot", since_boot)
    monkeypatch.setattr(module, "_LOOK", 0.01)
    scene.guests.holds = {scene.vault: b"text", scene.third: b"other"}
    await scene.ask(CopyClipboard(scene.vault))
    offset = 30
    await scene.ask(CopyClipboard(scene.third))
    # A minute after the first one there is the second one, which is half a minute old.
    offset = 61
    await until_looked()
    assert (await scene.status()).source == "third"
    offset = 91
    await until(lambda: scene.told[-1].is_empty)
    assert (await scene.status()).is_empty
    scene.options = GuiOptions({"clipboard_seconds": 0})
    await scene.ask(CopyClipboard(scene.third))
    # Nobody looks at the time of that any more.
    assert scene.clipboard._expiry
    assert scene.clipboard._expiry.cancelled()
    assert (await scene.status()).size == 5


@pytest.mark.parametrize("state", [DomainState.HALTED, DomainState.CRASHED, DomainState.SAVED])
async def test_it_is_forgotten_when_its_domain_stops(scene: Scene, state: DomainState) -> None:
    scene.guests.holds[scene.vault] = b"text"
    await scene.ask(CopyClipboard(scene.vault))
    domain = scene.store.require(DomainKey(URI, scene.vault))
    scene.store.put([replace(domain, state=DomainState.PAUSED)])
    scene.store.flush()
    assert (await scene.status()).size == 4
    scene.store.put([replace(domain, state=state)])
    scene.store.flush()
    assert (await scene.status()).is_empty
    assert scene.told[-1].is_empty


async def test_it_is_forgotten_when_its_domain_is_removed_and_when_the_user_says_so(scene: Scene) -> None:
    scene.guests.holds = {scene.vault: b"text", scene.third: b"text"}
    await scene.ask(CopyClipboard(scene.vault))
    scene.store.remove([DomainKey(URI, scene.vault)])
    scene.store.flush()
    assert (await scene.status()).is_empty
    await scene.ask(CopyClipboard(scene.third))
    await scene.ask(WipeClipboard())
    assert (await scene.status()).is_empty


async def test_what_is_still_on_its_way_is_wiped_too(scene: Scene) -> None:
    scene.guests.holds[scene.vault] = b"text"
    answers = scene.guests.slow[scene.vault] = asyncio.Event()
    copy = asyncio.create_task(scene.ask(CopyClipboard(scene.vault)))
    await until(lambda: scene.guests.asked)
    await scene.ask(WipeClipboard())
    answers.set()
    with pytest.raises(Refused, match="too late"):
        await copy
    assert (await scene.status()).is_empty


async def test_a_text_of_the_host_comes_from_dom0(scene: Scene) -> None:
    said = await scene.say(PutClipboard.holding("a line of a log\n"))
    assert said.startswith("Copied 16 bytes from “dom0”.")
    await scene.ask(PasteClipboard(scene.work))
    assert scene.guests.got == [(scene.work, "", b"a line of a log\n")]
    with pytest.raises(Refused, match="no text on the clipboard of the host"):
        await scene.ask(PutClipboard.holding(""))
    scene.rule("qubes.ClipboardPaste * @adminvm @anyvm deny")
    await scene.ask(PutClipboard.holding("text"))
    with pytest.raises(Refused, match="“dom0” goes to “work”: the policy denies it"):
        await scene.ask(PasteClipboard(scene.work))


async def test_the_host_s_own_clipboard_goes_past_what_waits(scene: Scene) -> None:
    scene.guests.holds[scene.vault] = b"waits"
    await scene.ask(CopyClipboard(scene.vault))
    assert (await scene.say(GiveText.holding(scene.work, "given"))).startswith("Pasted 5 bytes from the host into")
    assert scene.guests.got == [(scene.work, "", b"given")]
    assert (await scene.status()).size == 5
    scene.rule("qubes.ClipboardPaste * @adminvm work deny")
    with pytest.raises(Refused, match="the policy denies it"):
        await scene.ask(GiveText.holding(scene.work, "given"))


async def test_a_text_that_nobody_waits_for_any_more_stays_where_it_is(scene: Scene) -> None:
    scene.guests.holds[scene.vault] = b"text"
    await scene.ask(CopyClipboard(scene.vault))
    scene.rule("qubes.ClipboardPaste * @anyvm @adminvm ask")
    scene.user.has_time.clear()
    taking = asyncio.create_task(scene.ask(TakeClipboard()))
    await until(lambda: scene.user.asked)
    # As the broker does when who asks for it has hung up.
    taking.cancel()
    await asyncio.wait({taking})
    assert taking.cancelled()
    assert (await scene.status()).size == 4


async def test_a_domain_that_forgets_is_told_so(scene: Scene) -> None:
    scene.options = GuiOptions({}, {scene.work: {"clipboard_wipe": True}})
    for target in (scene.work, scene.third):
        scene.guests.holds[scene.vault] = b"text"
        await scene.ask(CopyClipboard(scene.vault))
        await scene.ask(PasteClipboard(target))
    assert [argument for _uuid, argument, _data in scene.guests.got] == ["wipe", ""]


async def test_pictures_cross_as_plain_pixels_where_they_may(scene: Scene) -> None:
    picture = Image.new("RGBA", (4, 3), (1, 2, 3, 4))
    scene.guests.pictures[scene.vault] = pixel_header(4, 3) + picture.tobytes()
    with pytest.raises(Refused, match="there is no text"):
        await scene.ask(CopyClipboard(scene.vault))
    scene.options = GuiOptions({"clipboard_images": True, "clipboard_wipe": True})
    assert "a picture of" in await scene.say(CopyClipboard(scene.vault))
    assert (await scene.status()).kind is Kind.IMAGE
    await scene.ask(PasteClipboard(scene.work))
    [(uuid, argument, data)] = scene.guests.got
    assert (uuid, argument) == (scene.work, "image+wipe")
    with Image.open(BytesIO(data), formats=["PNG"]) as crossed:
        assert (crossed.size, crossed.tobytes()) == ((4, 3), picture.tobytes())
    scene.guests.pictures[scene.vault] += b"hidden"
    with pytest.raises(Refused, match="was not copied: a picture of 4 x 3 pixels came with 54 bytes"):
        await scene.ask(CopyClipboard(scene.vault))


async def test_a_domain_that_does_not_run_has_no_clipboard(scene: Scene) -> None:
    domain = scene.store.require(DomainKey(URI, scene.vault))
    scene.store.put([replace(domain, state=DomainState.PAUSED)])
    for request in (CopyClipboard(scene.vault), PasteClipboard(scene.vault), GiveText.holding(scene.vault, "x")):
        with pytest.raises(Refused, match="“vault” does not run"):
            await scene.ask(request)
