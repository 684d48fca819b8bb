"""How the runs of templates end, and what is then to be decided or put right."""

from dataclasses import dataclass
from enum import Enum

from qubes_manager.core.domain import Domain, DomainClass, DomainKey
from qubes_manager.core.volume_use import image_name
from qubes_manager.core.volumes import Role


class Outcome(Enum):
    """What became of a template's run."""

    COMMITTED = "committed"
    DROPPED = "dropped"
    DISCARDED = "discarded"
    SET_ASIDE = "set aside"
    PUT_AWAY = "put away"


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a template's run ended: the revision that it wrote, and the one that is current now."""

    key: DomainKey
    template: str
    outcome: Outcome
    written: int
    current: int

    @property
    def is_kept(self) -> bool:
        """Whether what the run wrote is current now."""
        return self.outcome is Outcome.COMMITTED

    @property
    def sentence(self) -> str:
        """For people."""
        match self.outcome:
            case Outcome.COMMITTED:
                return f"“{self.template}” has a new revision {self.current}; domains get it at their next start."
            case Outcome.DROPPED:
                return (
                    f"“{self.template}” did not shut down properly: what its run changed is dropped, "
                    f"and revision {self.current} stays current."
                )
            case Outcome.DISCARDED:
                return (
                    f"The saved state of “{self.template}” was discarded, and what its run had changed went with it: "
                    f"revision {self.current} stays current."
                )
            case Outcome.SET_ASIDE:
                return (
                    f"“{self.template}” stopped and nobody saw how: revision {self.current} stays current. "
                    f"If its run ended well, go to revision {self.written} (“Revisions…”, or qvm-volume revert)."
                )
            case Outcome.PUT_AWAY:
                return (
                    f"Another program saved the run of “{self.template}” to a file, or discarded it: revision "
                    f"{self.current} stays current, and what the run had changed stays as revision {self.written}."
                )


def needs_settling(domain: Domain) -> bool:
    """Whether a template's run has ended and nobody has decided yet what becomes of it."""
    return bool(domain.config.trial) and domain.state.is_over and not domain.stale


def needs_guard(domain: Domain) -> bool:
    """Whether a halted template's current root could be written to by who starts it without this program."""
    config = domain.config
    if domain.klass is not DomainClass.TEMPLATE or domain.stale or not domain.state.is_over:
        return False
    disk, current = config.disk(Role.ROOT), config.volume(Role.ROOT)
    is_plain = disk is not None and current is not None and not disk.transient and not config.trial
    return is_plain and config.job is None and image_name(disk.source) == current.name  # type: ignore[union-attr]


def needs_care(domain: Domain) -> bool:
    """Whether there is something to decide or to put right about a template that does not run."""
    return needs_settling(domain) or needs_guard(domain)
