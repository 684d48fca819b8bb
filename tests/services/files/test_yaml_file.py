"""Files of the user’s, broken or not to be written."""

from pathlib import Path

import pytest
import yaml

from qubes_manager.core.settings import Settings
from qubes_manager.services.files.settings_file import SettingsFile


@pytest.mark.parametrize("text", ["appearance: [", "appearance: loud", "\x00", "- a list", "nonsense: 1"])
def test_broken_settings_are_kept_aside(tmp_path: Path, text: str) -> None:
    file = SettingsFile(tmp_path / "settings.yaml")
    file.path.write_text(text)
    settings, said = file.load()
    assert settings == Settings()
    assert "The settings could not be used" in said
    assert (tmp_path / "settings.broken.yaml").read_text() == text
    assert not file.path.exists()


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SettingsFile(tmp_path / "settings.yaml")
    file.save(Settings(appearance="dark"))

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(yaml, "safe_dump", full)
    with pytest.raises(OSError, match="No space"):
        file.save(Settings(appearance="light"))
    assert file.load()[0].appearance == "dark"
    assert len(list(tmp_path.iterdir())) == 1
