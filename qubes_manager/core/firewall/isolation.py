"""Whether a domain's network is kept apart from this machine, as its XML says it."""

# The folder of what stands in for QEMU; by that an emulator is known as ours.
EMULATORS = "network"
_FOLDER = f"/qubes-manager/{EMULATORS}"


def is_ours(emulator: str) -> bool:
    """Whether *emulator*, a path, is a program of ours in QEMU's place."""
    return emulator.rpartition("/")[0].endswith(_FOLDER)
