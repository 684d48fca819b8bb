"""Which libvirt to talk to. Imports next to nothing: see qvm_ls."""

import os
from collections.abc import Sequence
from itertools import pairwise

DEFAULT_URI = "qemu:///session"


def uris_of(named: Sequence[str] | None) -> list[str]:
    """The connections that --connect *named*, else those of the environment, else the user's own."""
    return list(dict.fromkeys(named or os.environ.get("QUBES_MANAGER_URI", "").split())) or [DEFAULT_URI]


def likely_uris(words: Sequence[str]) -> list[str]:
    """What a command line names plainly, or by naming none; the parser then knows for certain."""
    # Who only asks for help must not start anybody's daemon.
    if any(word.startswith(("-h", "--h", "--ver")) for word in words):
        return []
    if any(word.startswith(("-c", "--c")) for word in words):
        return [uri for option, uri in pairwise(words) if option in ("-c", "--connect")]
    return uris_of(None)
