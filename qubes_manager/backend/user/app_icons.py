"""Icons of guests' applications as picture files of the host's, framed in their domain's colour."""

import io

from qubes_manager.core.applications import ICON_SIDE

# The frame is wide enough to tell the colour in a menu.
_FRAME = 3
_SIDE = ICON_SIDE + 2 * (_FRAME + 1)


def app_icon(pixels: bytes, colour: str) -> bytes:
    """A PNG of RGBA *pixels*, ICON_SIDE in a square, framed in *colour*; without pixels only the patch of colour."""
    # 4 MB that a window without applications does not need.
    from PIL import Image, ImageDraw

    picture = Image.new("RGBA", (_SIDE, _SIDE), (0, 0, 0, 0))
    drawing = ImageDraw.Draw(picture)
    box = (0, 0, _SIDE - 1, _SIDE - 1)
    if pixels:
        icon = Image.frombytes("RGBA", (ICON_SIDE, ICON_SIDE), pixels)
        picture.alpha_composite(icon, (_FRAME + 1, _FRAME + 1))
        drawing.rounded_rectangle(box, radius=8, outline=colour, width=_FRAME)
    else:
        drawing.rounded_rectangle(box, radius=8, fill=colour)
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()
