"""The virtio-serial ports through which domains ask for what crosses between them, and through which it goes.

Their names are short: libvirt makes of each the path of a socket, which may have 107 bytes (unix(7)).
"""

# Small messages both ways (``guest_messages``), one program on each side.
REQUEST_PORT = "org.qubes_manager.req.0"
# Bytes of services that run, which the host does not look into.
DATA_PORTS = tuple(f"org.qubes_manager.dat.{number}" for number in range(4))
CROSSING_PORTS = (REQUEST_PORT, *DATA_PORTS)
# Seconds for which who owes bytes, or room for them, may let the other side of a call wait.
STALL = 120.0
# And while its domain stands still, of which the broker tells the other side (``StandsStill``).
PAUSED_STALL = 3600.0
