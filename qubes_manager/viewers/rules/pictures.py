"""Pictures that a guest may show: whole ones of sane sizes, none that could pass for a window of the host."""

from qubes_manager.viewers.protocol.packets import Cursor, Draw, Scroll, WindowIcon

# Pixels of all windows of a domain and of their icons, as large as its guest makes them, and as the user and the
# desktop may make them larger: beyond that windows are taken away. Of the viewer's 1 GiB a pixel takes four bytes in
# its window's picture, and as many in each copy on the way to the screen: Qt makes up to two for X, and up to three for
# a compositor.
_MOST_ON_X11, _MOST_ON_X11_BY_USER = 48 << 20, 51 << 20
_MOST_ON_WAYLAND, _MOST_ON_WAYLAND_BY_USER = 34 << 20, 37 << 20
# Width and height of a window, in pixels.
MAX_SIDE = 16384
MAX_ICON = 256
# A pointer as large as a window would be a window without a border.
MAX_CURSOR = 96
_MAX_MOVES = 1024


def most_pixels(places_known: bool, *, by_user: bool = False) -> int:
    """How many pixels all windows and icons of a domain may have; *places_known* as the judge's."""
    if places_known:
        return _MOST_ON_X11_BY_USER if by_user else _MOST_ON_X11
    return _MOST_ON_WAYLAND_BY_USER if by_user else _MOST_ON_WAYLAND


def is_whole(draw: Draw) -> bool:
    """Whether a picture has a sane size and all the bytes that it takes."""
    row, (width, height) = draw.box.width * draw.pixel_format.bytes_per_pixel, (draw.box.width, draw.box.height)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and _is_near(draw.box.x, draw.box.y)):
        return False
    return row <= draw.stride <= len(draw.pixels) and len(draw.pixels) >= draw.stride * (height - 1) + row


def is_sane_scroll(scroll: Scroll, pixels: int) -> bool:
    """Whether the parts that move in a window of *pixels* are no more than can be there."""
    moved = 0
    for x, y, width, height, dx, dy in scroll.moves:
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and _is_near(x, y) and _is_near(dx, dy)):
            return False
        moved += width * height
    # Each pixel comes to lie somewhere once; a window may have become smaller meanwhile.
    return len(scroll.moves) <= _MAX_MOVES and moved <= 4 * pixels


def is_icon(icon: WindowIcon) -> bool:
    """Whether a window's icon has a sane size."""
    return _is_picture(icon, MAX_ICON)


def is_cursor(cursor: Cursor) -> bool:
    """Whether a pointer is one, with the point that points within it."""
    inside = 0 <= cursor.x_hot < cursor.width and 0 <= cursor.y_hot < cursor.height
    return inside and _is_picture(cursor, MAX_CURSOR)


def _is_picture(picture: WindowIcon | Cursor, side: int) -> bool:
    width, height = picture.width, picture.height
    return 0 < width <= side and 0 < height <= side and len(picture.pixels) == 4 * width * height


def _is_near(x: int, y: int) -> bool:
    # Sums of such numbers are far from what Qt's integers take.
    return abs(x) <= 2 * MAX_SIDE and abs(y) <= 2 * MAX_SIDE
