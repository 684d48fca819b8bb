"""Whether the policy lets what is on a clipboard go to another domain, or to the host."""

import pytest

from qubes_manager.core.crossing.clipboard_messages import (
    ClipboardText,
    CopyClipboard,
    PasteClipboard,
    TakeClipboard,
)
from qubes_manager.core.errors import Refused
from tests.services.broker.clipboard.conftest import Scene


async def test_what_the_policy_denies_stays_and_goes_nowhere(scene: Scene) -> None:
    scene.rule("qubes.ClipboardPaste * vault third deny")
    scene.guests.holds[scene.vault] = b"text"
    await scene.ask(CopyClipboard(scene.vault))
    with pytest.raises(Refused, match=r"“vault” goes to “third”: the policy denies it .*30-user.policy:1"):
        await scene.ask(PasteClipboard(scene.third))
    await scene.ask(PasteClipboard(scene.work))
    assert scene.guests.got == [(scene.work, "", b"text")]
    assert [(d.source, d.target, str(d.outcome), str(d.by)) for d in scene.audit.read()] == [
        ("vault", "work", "allowed", "user"),
        ("vault", "third", "refused", "policy"),
    ]


async def test_a_rule_that_sends_it_elsewhere_sends_it_nowhere(scene: Scene) -> None:
    for action in ("allow", "ask"):
        scene.rule(f"qubes.ClipboardPaste * vault @anyvm {action} target=third")
        scene.guests.holds[scene.vault] = b"text"
        await scene.ask(CopyClipboard(scene.vault))
        with pytest.raises(Refused, match="“vault” goes to “work”"):
            await scene.ask(PasteClipboard(scene.work))
    assert scene.guests.got == []


async def test_nothing_goes_to_the_host_s_clipboard_unless_policy_and_user_agree(scene: Scene) -> None:
    scene.guests.holds[scene.vault] = b"text"
    await scene.ask(CopyClipboard(scene.vault))
    with pytest.raises(Refused, match="“vault” goes to “dom0”: the policy denies it"):
        await scene.ask(TakeClipboard())
    scene.rule("qubes.ClipboardPaste * @anyvm @adminvm ask")
    scene.user.agrees = False
    with pytest.raises(Refused, match="“vault” goes to “dom0”: the user said no"):
        await scene.ask(TakeClipboard())
    assert (await scene.status()).size == 4
    scene.user.agrees = True
    answer = await scene.ask(TakeClipboard())
    assert isinstance(answer, ClipboardText)
    assert (answer.source, answer.data) == ("vault", b"text")
    assert (await scene.status()).is_empty
