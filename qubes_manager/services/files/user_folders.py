"""Where the user's own files lie."""

from dataclasses import dataclass
from pathlib import Path

_OURS = "qubes-manager"


@dataclass(frozen=True, slots=True)
class UserFolders:
    """The user's folders (XDG base directory specification), and what of them is ours."""

    config: Path
    data: Path
    state: Path
    cache: Path

    @classmethod
    def of_environment(cls) -> "UserFolders":
        """Those that the environment names."""
        from platformdirs import PlatformDirs

        base = PlatformDirs()
        return cls(base.user_config_path, base.user_data_path, base.user_state_path, base.user_cache_path)

    @property
    def settings(self) -> Path:
        """The files that the user may edit."""
        return self.config / _OURS

    @property
    def policy(self) -> Path:
        """The user's policy files."""
        return self.settings / "policy.d"

    @property
    def audit(self) -> Path:
        """The log of what was asked between domains, a file beside which older ones lie."""
        return self.logs / "decisions.jsonl"

    @property
    def applications(self) -> Path:
        """What guests told of their applications."""
        return self.data / _OURS / "applications"

    @property
    def icons(self) -> Path:
        """The icons of the desktop's menu."""
        return self.data / _OURS / "icons"

    @property
    def logs(self) -> Path:
        """What our programs log."""
        return self.state / _OURS

    @property
    def disposable_numbers(self) -> Path:
        """When the number of which disposable was used last."""
        return self.state / _OURS / "disposables.json"

    @property
    def guests(self) -> Path:
        """Built guests, which can be built again."""
        return self.cache / _OURS
