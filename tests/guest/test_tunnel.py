"""What a VPN domain makes of its file at its start."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from qubes_manager.core.wireguard import parse_tunnel
from qubes_manager.guest import tunnel
from tests.core.test_wireguard import FILE


def test_wg_quicks_file_is_made_without_dns_and_the_rules_lead_names_to_its_servers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, made = tmp_path / "given.conf", tmp_path / "vpn0.conf"
    source.write_text(FILE)
    assert tunnel.main([str(source), str(made)]) == 0
    assert made.stat().st_mode & 0o777 == 0o600
    assert parse_tunnel(made.read_text()).dns == ()
    rules = capsys.readouterr().out
    assert "ip daddr 10.139.1.1 meta l4proto { tcp, udp } th dport 53 dnat ip to 10.64.0.1\n" in rules
    assert "ip6 daddr fd51:7562:6573:139::1 meta l4proto { tcp, udp } th dport 53 dnat ip6 to fd00::1\n" in rules


def test_a_file_that_is_not_understood_begins_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, made = tmp_path / "given.conf", tmp_path / "vpn0.conf"
    source.write_text(FILE.replace("Endpoint", "Endpint"))
    assert tunnel.main([str(source), str(made)]) == 1
    assert not made.exists()
    assert str(source) in capsys.readouterr().err
    assert tunnel.main([str(tmp_path / "none"), str(made)]) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone makes network namespaces everywhere")
@pytest.mark.parametrize("text", [FILE, FILE.replace("DNS", "# DNS")])
def test_nft_takes_the_rules_again_and_again(text: str, tmp_path: Path) -> None:
    nft = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin") or "nft"
    rules = tunnel.rules(parse_tunnel(text))
    (tmp_path / "rules").write_text(rules)
    line = f"{nft} -f {tmp_path}/rules && {nft} -f {tmp_path}/rules && {nft} list ruleset"
    done = subprocess.run(["unshare", "--net", "sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.count("dnat") == rules.count("dnat")
