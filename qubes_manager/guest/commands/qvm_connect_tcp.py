"""qvm-connect-tcp: a TCP port of another domain's own becomes one of this domain's own (127.0.0.1), as in Qubes."""

import argparse
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

from qubes_manager.core.crossing.services import CONNECT_TCP
from qubes_manager.core.errors import BadInput
from qubes_manager.guest.commands.calling import Caller, Command
from qubes_manager.guest.crossing.client import call
from qubes_manager.guest.services.connect_tcp import parse_port

_HERE = "127.0.0.1"


def main(arguments: Sequence[str] | None = None, caller: Caller = call) -> int:
    """Entry point; ends when it is stopped."""
    parser = argparse.ArgumentParser(
        "qvm-connect-tcp",
        description=f"Have a port of {_HERE} joined to a TCP port of another domain's own, if the policy "
        f"({CONNECT_TCP}) allows it, for as long as this runs.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "ports", metavar="LOCAL_PORT:DOMAIN:PORT", help="without LOCAL_PORT the same; without DOMAIN the policy's"
    )
    options = parser.parse_args(arguments)
    command = Command("qvm-connect-tcp", caller)
    return command.run(lambda: _serve(command, *parse_ports(options.ports)))


def parse_ports(text: str) -> tuple[int, str, int]:
    """The port here, the domain, and the port there; raises BadInput."""
    local, first, rest = text.partition(":")
    target, second, remote = rest.rpartition(":")
    if not (first and second):
        raise BadInput("ports", text[:80], "use LOCAL_PORT:DOMAIN:PORT, as in 8080:work:80")
    port = parse_port(remote)
    return parse_port(local) if local else port, target or "@default", port


def _serve(command: Command, local: int, target: str, remote: int) -> int:
    with socket.create_server((_HERE, local)) as server:
        where = f"“{target}”" if not target.startswith("@") else target
        command.say(f"{_HERE}:{local} is port {remote} of {where} until this ends (Ctrl+C)")
        # Nobody waits for those that carry connections.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            connection, _address = server.accept()
            with connection:
                if not os.fork():
                    server.close()
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    # Each is a program of its own; nothing of the one that waits is to be tidied up in it.
                    os._exit(command.run(lambda: _carry(command, connection, target, remote)))  # noqa: B023


def _carry(command: Command, connection: socket.socket, target: str, remote: int) -> int:
    """Carry one connection until either side has ended it."""
    connection.setblocking(False)
    with command.call(CONNECT_TCP, str(remote), target) as conversation, suppress(ConnectionError):
        result = conversation.join(connection.fileno(), connection.fileno())
        if result.reason:
            command.say(result.reason)
        return result.code
    return 0
