"""Bytes of a display server to plain values and back: frames, rencode, LZ4. All is bounded before memory is taken."""
