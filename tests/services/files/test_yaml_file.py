"""Files of the user’s: what is wrong in them is told and kept."""

import threading
from pathlib import Path

import pytest
import yaml

from qubes_manager.core.errors import Refused
from qubes_manager.core.settings import Settings
from qubes_manager.services.files.global_defaults import GlobalDefaults
from qubes_manager.services.files.settings_file import SettingsFile


@pytest.fixture
def file(tmp_path: Path) -> SettingsFile:
    return SettingsFile(tmp_path / "settings.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("appearance: [", "line 1"),
        ("appearance: dark\n- x", "line 2"),
        ("\x00", "write it as YAML"),
        ("- a list", "let it hold a mapping"),
    ],
)
def test_what_is_no_yaml_is_told_and_never_overwritten(
    file: SettingsFile, text: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    file.path.write_text(text)
    settings, trouble = file.load()
    assert settings == Settings()
    assert str(file.path) in trouble and said in trouble
    # Commands show what is logged; once.
    file.load()
    assert caplog.messages == [trouble]
    with pytest.raises(Refused, match=r"settings\.yaml is not written to, so that nothing in it is lost: .*; mend it"):
        file.save(Settings(appearance="dark"))
    assert file.path.read_text() == text


@pytest.mark.parametrize("bad", ["appearance: loud", "nonsense: 1", "window_width: wide", "unasked: [1]", "1: 2"])
def test_one_value_that_makes_no_sense_costs_itself_and_stays(file: SettingsFile, bad: str) -> None:
    file.path.write_text(f"{bad}\nfilter: running\n")
    settings, trouble = file.load()
    assert settings == Settings(filter="running")
    assert "cannot be used" in trouble and "this counts as not set" in trouble
    settings.show_details = False
    file.save(settings)
    kept = yaml.safe_load(file.path.read_text())
    assert kept == {**yaml.safe_load(bad), "filter": "running", "show_details": False}


def test_defaults_of_a_later_version_survive_too(tmp_path: Path) -> None:
    defaults = GlobalDefaults(tmp_path / "defaults.yaml")
    (tmp_path / "defaults.yaml").write_text("default_shade: gray\ndefault_netvm: [1]\ndefault_pool: fast\n")
    assert (defaults.get("default_pool"), defaults.get("default_netvm")) == ("fast", "isolated")
    defaults.set("default_template", "debian")
    assert yaml.safe_load((tmp_path / "defaults.yaml").read_text()) == {
        "default_shade": "gray",
        "default_netvm": [1],
        "default_pool": "fast",
        "default_template": "debian",
    }


def test_changes_at_once_are_all_there(tmp_path: Path) -> None:
    names = ["clockvm", "default_dispvm", "default_netvm", "default_pool", "default_template"]
    # Each thread has the file as another program would.
    threads = [threading.Thread(target=GlobalDefaults(tmp_path / "d.yaml").set, args=(name, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert yaml.safe_load((tmp_path / "d.yaml").read_text()) == {name: name for name in names}


def test_a_link_to_the_file_stays_a_link(file: SettingsFile, tmp_path: Path) -> None:
    (tmp_path / "kept.yaml").write_text("filter: running\n")
    file.path.symlink_to(tmp_path / "kept.yaml")
    file.save(Settings(filter="halted"))
    assert file.path.is_symlink() and "halted" in (tmp_path / "kept.yaml").read_text()


def test_a_save_that_fails_leaves_the_old_file(file: SettingsFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.save(Settings(appearance="dark"))

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(yaml, "safe_dump", full)
    with pytest.raises(OSError, match="No space"):
        file.save(Settings(appearance="light"))
    assert file.load()[0].appearance == "dark"
    assert len(list(file.path.parent.iterdir())) == 1
