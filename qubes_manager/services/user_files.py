"""The wiring of what lies in the user's own files."""

from functools import cached_property
from typing import TYPE_CHECKING

from qubes_manager.services.hosts.store import DomainStore

if TYPE_CHECKING:
    from qubes_manager.services.crossing.audit import Audit
    from qubes_manager.services.crossing.policy_files import PolicyFiles
    from qubes_manager.services.files.global_defaults import GlobalDefaults
    from qubes_manager.services.files.gui_options_file import GuiOptionsFile
    from qubes_manager.services.files.log_paths import LogPaths
    from qubes_manager.services.files.logs import Logs
    from qubes_manager.services.files.settings_file import SettingsFile
    from qubes_manager.services.files.user_folders import UserFolders


class UserFiles:
    """One who keeps each kind of them, made when it is first asked for; no host is needed for any.

    *store* knows the domains that options of windows are about.
    """

    def __init__(self, store: DomainStore) -> None:
        self.store = store

    @cached_property
    def folders(self) -> "UserFolders":
        """Where the user's files lie."""
        from qubes_manager.services.files.user_folders import UserFolders

        return UserFolders.of_environment()

    @cached_property
    def settings_file(self) -> "SettingsFile":
        """The settings of the window."""
        from qubes_manager.services.files.settings_file import SettingsFile

        return SettingsFile(self.folders.settings / "settings.yaml")

    @cached_property
    def defaults(self) -> "GlobalDefaults":
        """What new domains get."""
        from qubes_manager.services.files.global_defaults import GlobalDefaults

        return GlobalDefaults(self.folders.settings / "defaults.yaml")

    @cached_property
    def gui_options(self) -> "GuiOptionsFile":
        """The options of domains' windows."""
        from qubes_manager.services.files.gui_options_file import GuiOptionsFile

        return GuiOptionsFile(self.folders.settings / "windows.yaml", lambda: self.store.domains.values())

    @cached_property
    def log_paths(self) -> "LogPaths":
        """Where our programs log."""
        from qubes_manager.services.files.log_paths import LogPaths

        return LogPaths(self.folders.logs)

    @cached_property
    def logs(self) -> "Logs":
        """Reading logs."""
        from qubes_manager.services.files.logs import Logs

        return Logs(self.log_paths)

    @cached_property
    def policy_files(self) -> "PolicyFiles":
        """The policy of what crosses between domains."""
        from qubes_manager.services.crossing.policy_files import PolicyFiles

        return PolicyFiles(self.folders.policy)

    @cached_property
    def audit(self) -> "Audit":
        """The log of what was asked between domains."""
        from qubes_manager.services.crossing.audit import Audit

        return Audit(self.folders.audit)
