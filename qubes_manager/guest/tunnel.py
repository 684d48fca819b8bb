"""Makes of the user's WireGuard file what debian/vpn.sh begins: wg-quick's file, and rules that lead names into it.

Nothing of the user's file comes there that was not understood: wg-quick runs what a file tells it to run, as root.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qubes_manager.core.errors import BadInput
from qubes_manager.core.firewall.dns import DNS4, DNS6
from qubes_manager.core.wireguard import MAX_FILE, Tunnel, parse_tunnel

TUNNEL = "vpn0"


def main(words: Sequence[str]) -> int:
    """Read the file that is named first, write the second one, and print the rules."""
    source, target = map(Path, words)
    try:
        with source.open("rb") as file:
            tunnel = parse_tunnel(file.read(MAX_FILE + 1).decode())
    except (OSError, UnicodeDecodeError, BadInput) as error:
        print(f"{source}: {error}", file=sys.stderr)
        return 1
    with open(target, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as made:
        # It would want resolvconf for them.
        made.write(replace(tunnel, dns=()).to_file())
    print(rules(tunnel), end="")
    return 0


def rules(tunnel: Tunnel) -> str:
    """What takes others' questions of DNS to the tunnel's servers; where it has none of a version they go nowhere."""
    table = "table inet qubes_manager_vpn"
    lines = [table, f"delete {table}", f"{table} {{", "chain names {"]
    lines.append("type nat hook prerouting priority -100; policy accept;")
    for version, word, asked in ((4, "ip", DNS4), (6, "ip6", DNS6)):
        for server in [address for address in tunnel.dns if address.version == version][:1]:
            ports = "meta l4proto { tcp, udp } th dport 53"
            lines.append(f'iifname != "{TUNNEL}" {word} daddr {asked} {ports} dnat {word} to {server}')
    return "\n".join([*lines, "}", "}"]) + "\n"
