"""What PySide6 is given to load in a viewer in the place of its own support for signatures and help texts.

That is Python's source in a library, which each start would compile anew: a quarter of the time that a start takes, and
five megabytes. It also reads the source of every module that is imported, for PySide's own imports of features.
PySide6 loads this instead where it finds it as ``shibokensupport.signature.loader`` in its folder ``files.dir``
(``signature_bootstrap.py`` among its sources), and takes from it functions by name (``signature_globals.cpp``).
"""

import sys
from collections.abc import Callable

# Where it looks up what errors are about.
sys.modules["shibokensupport.signature.mapping"] = sys.modules[__name__]


def update_mapping() -> None:
    """Know the packages whose functions these are."""
    globals().update((name, sys.modules[name]) for name in ("PySide6", "shiboken6"))


def seterror_argument(arguments: object, name: str, info: object = None) -> tuple[type[Exception], str]:
    """The error of a call that fits no function."""
    if isinstance(info, Exception):
        return type(info), str(info)
    return TypeError, f"{name} does not take {arguments!r} {info or ''}".rstrip()


def _nothing(*_arguments: object) -> None:
    """Stand for a function that has nothing to do here."""


def __getattr__(name: str) -> Callable[..., None]:
    if name.startswith("__"):
        raise AttributeError(name)
    return _nothing
