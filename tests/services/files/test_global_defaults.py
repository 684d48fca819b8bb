"""Defaults for all domains."""

from pathlib import Path

import pytest

from qubes_manager.core.errors import BadInput
from qubes_manager.services.files.global_defaults import GlobalDefaults


def test_global_defaults_are_kept_checked_and_taken_back(tmp_path: Path) -> None:
    defaults = GlobalDefaults(tmp_path / "defaults.yaml")
    assert defaults.get("default_netvm") == "isolated"
    defaults.set("default_template", "debian-12")
    defaults.set("default_netvm", "none")
    assert (defaults.get("default_template"), defaults.get("default_netvm")) == ("debian-12", "")
    defaults.set("default_netvm", None)
    assert defaults.get("default_netvm") == "isolated"
    with pytest.raises(BadInput, match="use one of clockvm"):
        defaults.set("default_colour", "red")
