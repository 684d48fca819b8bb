"""What is asked for when ports are to be joined; real connections are in tests/integration/test_crossing_calls.py."""

import socket

import pytest

from qubes_manager.core.errors import BadInput
from qubes_manager.guest.commands.qvm_connect_tcp import main, parse_ports


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("8080:work:80", (8080, "work", 80)),
        (":work:80", (80, "work", 80)),
        ("::80", (80, "@default", 80)),
        ("22:@dispvm:base:2222", (22, "@dispvm:base", 2222)),
    ],
)
def test_ports_are_named_as_in_qubes(text: str, ports: tuple[int, str, int]) -> None:
    assert parse_ports(text) == ports


@pytest.mark.parametrize("text", ["", "80", "80:work", "0:work:80", "80:work:", "80:work:65536", "a:work:80", ":::"])
def test_what_names_no_ports_is_said(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadInput):
        parse_ports(text)
    assert main([text]) == 1
    assert "port" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert main([f"{server.getsockname()[1]}:work:80"]) == 1
    assert "Address already in use" in capsys.readouterr().err
