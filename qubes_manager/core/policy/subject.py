"""What the policy knows of a domain."""

from collections.abc import Mapping
from dataclasses import dataclass

from qubes_manager.core.domain import DomainClass
from qubes_manager.core.names import HOST_NAME


@dataclass(frozen=True, slots=True)
class Subject:
    """A domain, or the host, as rules see it.

    *klass* is one of DomainClass, or a class of another system's. *template* is what a disposable is made of,
    *default_dispvm* what disposables are made of that it asks for; both are names, empty for none.
    """

    name: str
    uuid: str = ""
    klass: str = DomainClass.APP
    label: str = ""
    tags: frozenset[str] = frozenset()
    template: str = ""
    template_for_dispvms: bool = False
    default_dispvm: str = ""
    is_running: bool = False
    internal: bool = False

    @property
    def is_host(self) -> bool:
        """Whether it is the host itself."""
        return self.name == HOST_NAME


# All that may ask or be asked, by name.
System = Mapping[str, Subject]
