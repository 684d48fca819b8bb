"""The clipboard between domains: in whatever order things come, nobody but the named target gets what it holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, consumes, invariant, multiple, rule

from qubes_manager.core.crossing.clipboard import Clipboard, Copying, Kind, Pasting, clean_text
from qubes_manager.core.crossing.pixels import MOST_BYTES
from qubes_manager.core.errors import Refused

DOMAINS = st.sampled_from(["a", "b", "c"])


class AnyOrder(RuleBasedStateMachine):
    """Copies, pastes and wipes as they come, their keys pressed at any time and answered in any order."""

    copies: Bundle[Copying] = Bundle("copies")
    pastes: Bundle[Pasting] = Bundle("pastes")

    def __init__(self) -> None:
        super().__init__()
        self.clipboard = Clipboard()
        self.now = 0.0
        self.serial = 0
        # What this test knows by itself: the newest copy while it is worth something, and what was delivered.
        self.newest = float("-inf")
        self.alive: Copying | None = None
        self.brought: dict[Copying, bytes] = {}
        self.delivered: set[bytes] = set()

    @rule(target=copies, source=DOMAINS, late=st.integers(0, 3))
    def press_copy(self, source: str, late: int) -> Copying | MultipleResults[Copying]:
        self.now += 1
        try:
            copying = self.clipboard.begin_copy(source, source, self.now - late)
        except Refused:
            assert self.now - late < self.newest
            return multiple()
        assert self.now - late >= self.newest
        self.newest, self.alive = self.now - late, copying
        return copying

    @rule(copying=copies)
    def answer(self, copying: Copying) -> None:
        self.serial += 1
        data = b"secret %d" % self.serial
        is_first = copying not in self.brought
        try:
            content = self.clipboard.finish_copy(copying, Kind.TEXT, data, self.now)
        except Refused:
            assert copying is not self.alive or not is_first
            return
        assert copying is self.alive
        assert is_first
        assert content.data not in repr(content).encode()
        self.brought[copying] = data

    @rule(copying=consumes(copies))
    def fail(self, copying: Copying) -> None:
        self.clipboard.fail_copy(copying)
        if copying is self.alive and copying not in self.brought:
            self.alive = None

    @rule(target=pastes, domain=DOMAINS, late=st.integers(0, 3))
    def press_paste(self, domain: str, late: int) -> Pasting | MultipleResults[Pasting]:
        self.now += 1
        try:
            pasting = self.clipboard.begin_paste(domain, self.now - late)
        except Refused:
            self.newest = max(self.newest, self.now - late)
            return multiple()
        self.newest = self.now - late
        assert pasting.origin is self.alive
        assert domain != pasting.origin.source
        return pasting

    @rule(pasting=pastes)
    def take(self, pasting: Pasting) -> None:
        try:
            content = self.clipboard.take(pasting)
        except Refused:
            assert pasting.origin is not self.alive or pasting.origin not in self.brought
            return
        # It is what the user meant when he pressed the key, it goes to nobody twice, nor where it came from.
        assert content.origin is pasting.origin is self.alive
        assert content.data == self.brought[content.origin]
        assert content.data not in self.delivered
        assert pasting.target != content.origin.source
        self.delivered.add(content.data)
        self.alive = None

    @rule()
    def wipe(self) -> None:
        self.now += 1
        self.clipboard.wipe(self.now)
        self.newest, self.alive = self.now, None

    @rule(domain=DOMAINS)
    def stop(self, domain: str) -> None:
        self.clipboard.forget(domain)
        if self.alive and self.alive.source == domain:
            self.alive = None

    @rule()
    def grow_old(self) -> None:
        content = self.clipboard.content
        if content:
            self.clipboard.expire(content)
            self.alive = None

    @invariant()
    def nothing_else_is_held(self) -> None:
        content = self.clipboard.content
        assert content is None or (content.origin is self.alive and content.data not in self.delivered)


TestAnyOrder = AnyOrder.TestCase


def test_an_older_answer_that_comes_late_is_dropped() -> None:
    clipboard = Clipboard()
    slow = clipboard.begin_copy("a", "work", 1)
    quick = clipboard.begin_copy("b", "personal", 2)
    clipboard.finish_copy(quick, Kind.TEXT, b"new", 3)
    with pytest.raises(Refused, match="“work” answered came too late"):
        clipboard.finish_copy(slow, Kind.TEXT, b"old", 4)
    assert clipboard.take(clipboard.begin_paste("c", 5)).data == b"new"


def test_a_paste_gets_what_was_being_copied_when_its_key_was_pressed() -> None:
    clipboard = Clipboard()
    copying = clipboard.begin_copy("a", "work", 1)
    pasting = clipboard.begin_paste("b", 2)
    assert clipboard.is_awaited(pasting)
    clipboard.finish_copy(copying, Kind.TEXT, b"text", 3)
    assert not clipboard.is_awaited(pasting)
    newer = clipboard.begin_copy("c", "vault", 4)
    clipboard.finish_copy(newer, Kind.TEXT, b"secret", 5)
    with pytest.raises(Refused, match="not on the inter-domain clipboard any more"):
        clipboard.take(pasting)
    assert clipboard.content


def test_nothing_is_pasted_where_it_came_from_nor_out_of_an_empty_clipboard() -> None:
    clipboard = Clipboard()
    with pytest.raises(Refused, match="is empty"):
        clipboard.begin_paste("b", 1)
    clipboard.finish_copy(clipboard.begin_copy("a", "work", 2), Kind.TEXT, b"text", 2)
    with pytest.raises(Refused, match="came from “work” itself"):
        clipboard.begin_paste("a", 3)
    with pytest.raises(Refused, match="before what was done since"):
        clipboard.begin_paste("b", 2.5)
    assert clipboard.content


def test_text_crosses_without_what_steers_a_terminal() -> None:
    text = "größe\tשלום\r\n\x1b[31mred\x07\x9b\x7f\0 end\r"
    assert clean_text(text.encode(), MOST_BYTES, "of “work”").decode() == "größe\tשלום\n[31mred end\n"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "there is no text on the clipboard of “work”"),
        (b"x" * 257, "has more than 256 bytes"),
        (b"\xff\xfe", "no text in UTF-8"),
        (b"\xed\xa0\x80", "no text in UTF-8"),
        (b"\x1b\x07", "nothing but control characters"),
    ],
)
def test_what_is_no_text_is_refused_with_the_reason(data: bytes, words: str) -> None:
    with pytest.raises(Refused, match=words):
        clean_text(data, 256, "of “work”")


@given(st.binary(max_size=300))
def test_whatever_a_guest_says_only_plain_text_comes_through(data: bytes) -> None:
    try:
        cleaned = clean_text(data, 256, "of “work”")
    except Refused:
        return
    text = cleaned.decode()
    assert 0 < len(cleaned) <= 256
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text if char not in "\n\t")
