"""Domains as the policy sees them."""

from dataclasses import replace

from qubes_manager.core.domain import UNREAD, Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.labels import LABELS
from qubes_manager.services.crossing.subjects import policy_name, subjects
from tests.build import domain

HOST = Domain(DomainKey("test:///x", "dom0"), "dom0", DomainState.RUNNING)


def test_a_domain_is_described_as_its_metadata_says() -> None:
    config = DomainConfig(
        label=LABELS["blue"],
        klass=DomainClass.APP,
        tags=frozenset({"money"}),
        features=(("internal", "1"),),
        default_dispvm="dvm",
    )
    found = subjects([domain("work", config=config), domain("dvm", config=DomainConfig(template_for_dispvms=True))])
    work = found["work"]
    assert (work.klass, work.label, work.tags, work.default_dispvm) == ("AppVM", "blue", config.tags, "dvm")
    assert (work.is_running, work.internal, work.template_for_dispvms) == (True, True, False)
    assert found["dvm"].template_for_dispvms


def test_the_host_is_dom0() -> None:
    host = subjects([HOST])["dom0"]
    assert host.is_host
    assert (host.klass, host.uuid) == ("AdminVM", "")


def test_no_domain_is_taken_for_the_host_or_a_token() -> None:
    odd = [replace(domain(f"{n}"), name=name) for n, name in enumerate(("dom0", "@adminvm", "*", "uuid:1"))]
    assert [policy_name(d) for d in odd] == ["uuid:0", "uuid:1", "uuid:2", "uuid:3"]
    found = subjects([HOST, *odd])
    assert [name for name, subject in found.items() if subject.is_host] == ["dom0"]
    assert len(found) == 5


def test_a_domain_whose_xml_is_not_read_is_not_known() -> None:
    assert subjects([domain("work", config=UNREAD)]) == {}


def test_templates_are_found_by_uuid_and_not_by_a_name_that_has_changed() -> None:
    dvm = domain("dvm", config=DomainConfig(template_for_dispvms=True))
    renamed = replace(dvm, name="other")
    of_dvm = {"template": "dvm", "template_uuid": dvm.key.uuid}
    disposable = domain("disp1", config=DomainConfig(klass=DomainClass.DISPOSABLE, **of_dvm))  # type: ignore[arg-type]
    work = domain("work", config=DomainConfig(default_dispvm="dvm", default_dispvm_uuid=dvm.key.uuid))
    found = subjects([renamed, disposable, work], "fallback")
    assert found["disp1"].template == "other"
    # A disposable's own disposables come from its template.
    assert found["disp1"].default_dispvm == "other"
    assert found["work"].default_dispvm == "other"
    assert found["other"].default_dispvm == "fallback"


def test_a_domain_that_may_ask_for_no_disposables_has_nothing_to_make_them_of() -> None:
    config = DomainConfig(default_dispvm="none")
    named = DomainConfig(klass=DomainClass.DISPOSABLE, template="dvm", default_dispvm="none")
    gone = DomainConfig(default_dispvm="dvm", default_dispvm_uuid="1")
    found = subjects([domain("work", config=config), domain("odd", config=named), domain("left", config=gone)], "dvm")
    assert {subject.default_dispvm for subject in found.values()} == {""}
