"""Policy files that are in no folder."""

from collections.abc import Mapping

from qubes_manager.core.policy.parser import LEGACY_FOLDER, Unreadable


class Texts:
    """Reads files out of a mapping from paths to texts."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files

    def text(self, path: str) -> str:
        if path not in self._files:
            raise Unreadable(f"{path}: there is no such file")
        return self._files[path]

    def policies(self, folder: str) -> list[str]:
        found = sorted(path for path in self._files if path.startswith(f"{folder}/"))
        if not found:
            raise Unreadable(f"{folder}: there is no such folder")
        return found

    def legacy(self) -> list[str]:
        prefix = f"{LEGACY_FOLDER}/"
        return sorted(path.removeprefix(prefix) for path in self._files if path.startswith(prefix))
