"""Domains as the policy sees them."""

from collections.abc import Iterable

from qubes_manager.core.domain import NO_DISPOSABLES, Domain, DomainClass, DomainState
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.policy.subject import Subject
from qubes_manager.core.policy.tokens import Kind


def policy_name(domain: Domain) -> str:
    """What a domain is called in calls and verdicts: its name, or ``uuid:…`` where that would be taken for a token.

    So nobody has rights by calling a domain ``dom0`` or ``@adminvm``.
    """
    if domain.is_host:
        return HOST_NAME
    name = domain.name
    is_odd = name == HOST_NAME or name.startswith(("@", Kind.UUID.value)) or name in ("", Kind.ANYTHING.value)
    return Kind.UUID.value + domain.key.uuid if is_odd else name


def subjects(domains: Iterable[Domain], default_dispvm: str = "") -> dict[str, Subject]:
    """The domains of one connection, by the names that the policy knows them by.

    A domain whose XML has not been read is left out: its tags may be what a rule denies it by. *default_dispvm*, a name
    or UUID, is what disposables are made of for domains that name nothing themselves.
    """
    known = [domain for domain in domains if domain.is_host or domain.is_read]
    names = {domain.key.uuid: policy_name(domain) for domain in known}
    fallback = names.get(default_dispvm, default_dispvm)
    return {names[domain.key.uuid]: _subject(domain, names, fallback) for domain in known}


def _subject(domain: Domain, names: dict[str, str], fallback: str) -> Subject:
    config = domain.config
    # A name alone may be another domain's by now.
    template = names.get(config.template_uuid, "") if config.template_uuid else config.template
    named = names.get(config.default_dispvm_uuid, "") if config.default_dispvm_uuid else config.default_dispvm
    if not config.default_dispvm:
        # What a disposable asks for has the network that it has itself.
        named = template if domain.klass is DomainClass.DISPOSABLE else fallback
    label = domain.label
    return Subject(
        names[domain.key.uuid],
        "" if domain.is_host else domain.key.uuid,
        str(domain.klass),
        label.name if label else "",
        config.tags,
        template if domain.klass is DomainClass.DISPOSABLE else "",
        config.template_for_dispvms,
        "" if named == NO_DISPOSABLES else named,
        domain.is_host or domain.state is DomainState.RUNNING,
        any(name == "internal" and value for name, value in config.features),
    )
