"""Where programs listen."""

from pathlib import Path

import pytest

from qubes_manager.core.errors import Refused
from qubes_manager.services.programs.address import socket_path


def test_a_folder_too_deep_for_a_socket_is_said_to_be_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ("x" * 100)))
    with pytest.raises(Refused, match="too long for the path of a socket: let XDG_STATE_HOME be"):
        socket_path("broker", "test:///default")
