"""The lock that says that somebody looks after a disposable's first program; the kernel frees it when he dies."""

from qubes_manager.core.domain import DomainKey


def first_program(key: DomainKey) -> str:
    """The lock's name, for ``domain_lock``."""
    return f"{key.uuid}.program"
