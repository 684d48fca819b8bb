"""What can be done to domains, as data: when it applies, how risky it is, and the sentence that asks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from qubes_manager.core.domain import Domain, DomainClass, DomainState
from qubes_manager.core.sound import is_heard


class Risk(Enum):
    """What is at stake; what loses data is always asked."""

    NONE = "nothing changes that could be lost"
    STATE = "the domain's state changes"
    DATA = "data is lost"


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be done to domains.

    *applies* tells for one domain. *verb* and *consequence* make the confirmation's sentence, in which ``{It}``
    and ``{Its}`` become plural where need be.
    """

    id: str
    verb: str
    applies: Callable[[Domain], bool]
    risk: Risk = Risk.NONE
    consequence: str = ""
    many: bool = True

    def sentence(self, domains: Sequence[Domain]) -> str:
        """The sentence that asks, naming the domains, what happens and what is lost."""
        names = [f"“{domain.name}”" for domain in domains]
        who = names[0] if len(names) == 1 else f"{len(names)} domains ({', '.join(names[:8])}{_more(names)})"
        pronouns = {"It": "It", "Its": "Its"} if len(names) == 1 else {"It": "They", "Its": "Their"}
        rest = self.consequence.format(**pronouns)
        return f"{self.verb} {who}? {rest}".strip()


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 8} more" if len(names) > 8 else ""


def _guest(domain: Domain) -> bool:
    # Whoever wants a disposable gets one that waits; until then it can be looked at and ended.
    return not domain.is_host and not domain.stale and not domain.is_busy and not domain.only_waits


def _over(domain: Domain) -> bool:
    return _guest(domain) and domain.state.is_over


def _running(domain: Domain) -> bool:
    return _guest(domain) and domain.state is DomainState.RUNNING


def _restartable(domain: Domain) -> bool:
    # A disposable is gone when it stops.
    return _running(domain) and not domain.is_disposable


def _active(domain: Domain) -> bool:
    # A shutdown or a restart that hangs must not keep anyone from killing the domain.
    return not domain.is_host and not domain.stale and domain.state.is_active


def _startable(domain: Domain) -> bool:
    return _guest(domain) and domain.state in (
        DomainState.SAVED,
        DomainState.HALTED,
        DomainState.CRASHED,
        DomainState.PAUSED,
        DomainState.SUSPENDED,
    )


def _persistent(domain: Domain) -> bool:
    return _guest(domain) and domain.persistent


def _may_autostart(domain: Domain) -> bool:
    # A template's can only be taken back.
    return _persistent(domain) and (domain.klass is not DomainClass.TEMPLATE or domain.autostart)


def _renamable(domain: Domain) -> bool:
    # libvirt renames no domain that runs; a disposable gets a title in the place of a name.
    return (_over(domain) and domain.persistent) or (_guest(domain) and domain.is_disposable)


def _removable(domain: Domain) -> bool:
    return _persistent(domain) and not domain.state.is_active


def _has_volumes(domain: Domain) -> bool:
    return not domain.is_host and not domain.stale and bool(domain.config.volumes)


def _clonable(domain: Domain) -> bool:
    is_template = domain.klass is DomainClass.TEMPLATE
    return _guest(domain) and _has_volumes(domain) and (is_template or domain.state.is_over)


def _promotable(domain: Domain) -> bool:
    return _over(domain) and domain.klass is DomainClass.STANDALONE and _has_volumes(domain)


def _has_port(domain: Domain) -> bool:
    return not domain.is_host and not domain.stale and domain.config.gui_port


def _has_clipboard(domain: Domain) -> bool:
    return _running(domain) and domain.config.crossing_ports


def _may_receive(domain: Domain) -> bool:
    # One that does not run is started.
    return _guest(domain) and (_running(domain) or _startable(domain))


def _has_own_system(domain: Domain) -> bool:
    is_own = domain.klass in (DomainClass.TEMPLATE, DomainClass.STANDALONE)
    return _guest(domain) and is_own and domain.state in (DomainState.RUNNING, DomainState.HALTED, DomainState.CRASHED)


def _any(domain: Domain) -> bool:
    return not domain.is_host


OPERATIONS: dict[str, Operation] = {
    operation.id: operation
    for operation in (
        Operation("start", "Start", _startable, Risk.STATE),
        Operation("pause", "Pause", _running, Risk.STATE, "{Its} programs stand still until it is resumed."),
        Operation("shutdown", "Shut down", _running, Risk.STATE, "{Its} programs are asked to end."),
        Operation(
            "restart",
            "Restart",
            lambda d: _running(d) and not d.is_disposable,
            Risk.STATE,
            "{Its} programs are asked to end; then it starts again.",
        ),
        Operation("kill", "Kill", _active, Risk.DATA, "{Its} unsaved work is lost."),
        Operation(
            "discard-saved",
            "Discard the saved state of",
            lambda d: _guest(d) and d.state is DomainState.SAVED,
            Risk.DATA,
            "{Its} programs and unsaved work are lost, as in a power cut.",
        ),
        Operation("delete", "Delete", _removable, Risk.DATA, "This cannot be undone."),
        Operation("clone", "Clone", _clonable, many=False),
        Operation("volumes", "Show the volumes of", _has_volumes, many=False),
        Operation(
            "to-template",
            "Make a template of",
            _promotable,
            Risk.STATE,
            "Other domains can start from its system then; all that is in it will be theirs to read.",
            many=False,
        ),
        Operation(
            "update-tools",
            "Update the guest tools of",
            _has_own_system,
            Risk.STATE,
            "What is halted is started for that and shut down again.",
        ),
        Operation("rename", "Rename", _renamable, Risk.STATE, many=False),
        Operation("label", "Set the label of", _guest, Risk.STATE, "{It} will wear another colour."),
        Operation("autostart", "Change autostart of", _may_autostart, Risk.STATE),
        Operation("mute", "Mute, or let be heard,", lambda d: _guest(d) and is_heard(d)),
        Operation("logs", "Show the logs of", _any, many=False),
        Operation("devices", "Show the devices for", _guest, many=False),
        Operation("console", "Open the console of", _active, many=False),
        Operation("serial", "Open the serial console of", _active, many=False),
        Operation("shortcuts", "Choose the applications of", _has_port, many=False),
        Operation("refresh-apps", "Read the applications of", lambda d: _running(d) and _has_port(d)),
        Operation("clipboard-copy", "Copy the clipboard of", _has_clipboard, many=False),
        Operation("clipboard-paste", "Paste into", _has_clipboard, many=False),
        Operation("clipboard-give", "Paste the host’s clipboard into", _has_clipboard, many=False),
        Operation("send-files", "Send files to", _may_receive, many=False),
        Operation("copy-files", "Copy files of", _running, many=False),
        Operation("run", "Run a command in", _running),
        Operation("firewall", "Change the firewall of", _guest, many=False),
        Operation("settings", "Change the settings of", _guest, many=False),
    )
}
