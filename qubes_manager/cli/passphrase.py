"""Asking for passphrases."""

import getpass
import sys

from qubes_manager.core.errors import Refused


def ask_passphrase(prompt: str, *, twice: bool = False) -> str:
    """Read a passphrase from the terminal without showing it, or the first line of standard input.

    With *twice* it is asked again; raises Refused when the two differ.
    """
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    passphrase = getpass.getpass(f"{prompt}: ")
    if twice and getpass.getpass(f"{prompt} again: ") != passphrase:
        raise Refused("the two passphrases differ")
    return passphrase
