"""Files of one domain on their way into another: what is sent, and what is taken of what comes.

Used by the programs in guests and by the host alike, so nothing here needs more than Python's own library. What goes
through a pipe is a tar archive (POSIX, pax headers), depth first, and behind it the 32 bytes of its SHA-256.
"""
