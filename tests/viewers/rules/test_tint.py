"""Icons in the colour of a label."""

from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.labels import LABELS
from qubes_manager.viewers.rules.tint import tint

COLOURS = st.sampled_from([label.colour for label in LABELS.values()])
PIXELS = st.lists(
    st.integers(0, 255).flatmap(lambda alpha: st.tuples(*[st.integers(0, alpha)] * 3, st.just(alpha))), min_size=1
)


@given(PIXELS, COLOURS)
def test_no_colour_but_the_label_s_is_left(pixels: list[tuple[int, int, int, int]], colour: str) -> None:
    label = [int(colour[at : at + 2], 16) for at in (5, 3, 1)]
    strongest, weakest = label.index(max(label)), label.index(min(label))
    tinted = tint(bytes(value for pixel in pixels for value in pixel), colour)
    assert len(tinted) == 4 * len(pixels)
    for at, (*_colours, alpha) in enumerate(pixels):
        pixel = tinted[4 * at : 4 * at + 4]
        assert pixel[3] == alpha
        assert max(pixel[:3]) <= alpha
        # Each channel is rounded twice.
        assert pixel[strongest] >= pixel[weakest] - 2


def test_light_stays_light_and_dark_stays_dark() -> None:
    white, grey, black = (tint(bytes([level] * 3 + [255]), "#3465a4") for level in (255, 128, 0))
    assert white[0] > grey[0] > black[0]
    assert white[0] > 0xA4 > grey[0] and black[:3] < bytes([0x40, 0x40, 0x40])
    # What is seen through is seen through as before.
    assert tint(bytes(8), "#ffffff") == bytes(8)


@given(st.binary(min_size=4, max_size=400), COLOURS)
def test_any_bytes_are_a_picture_of_the_same_size(pixels: bytes, colour: str) -> None:
    whole = pixels[: len(pixels) // 4 * 4]
    assert len(tint(whole, colour)) == len(whole)
