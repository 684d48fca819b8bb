"""Settings, kept in a file."""

from pathlib import Path

from qubes_manager.core.settings import ColumnSetting, Settings
from qubes_manager.services.files.settings_file import SettingsFile


def test_settings_come_back_as_they_were_saved(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "deep/settings.yaml")
    assert file.load() == (Settings(), "")
    settings = Settings(appearance="dark", columns=[ColumnSetting("name", 120, True)], unasked=["start"])
    file.save(settings)
    assert file.load() == (settings, "")
    assert [p.name for p in file.path.parent.iterdir()] == ["settings.yaml"]
