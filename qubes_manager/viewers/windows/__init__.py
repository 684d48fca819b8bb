"""A guest's windows on the host's screen, with Qt: each is one window of ours with the frame drawn inside of it.

``windows.py`` holds them all and is told what the judge let through; ``guest_window.py`` is one of them. What differs
between X11 and Wayland is in ``x11.py`` and ``wayland.py``, behind ``platform.py``.
"""
