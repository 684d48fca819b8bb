"""A domain's device assignments in our metadata."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from qubes_manager.backend.domains.assignment_xml import attributes_of, put_assignments, read_assignment
from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.backend.domains.metadata import MetadataEdit, new_element
from qubes_manager.core.devices.assignment import Assignment, Mode, with_assignment
from qubes_manager.core.devices.identity import ANY, DeviceClass

MIB = 1 << 20
names = st.from_regex(r"[a-z][a-z-]{0,9}", fullmatch=True)
values = st.from_regex(r"[A-Za-z0-9_.+-]{0,9}", fullmatch=True)
# Whatever XML can have: ports of images are paths, and these may have all signs.
words = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=20
)
assignments = st.lists(
    st.builds(
        Assignment,
        st.sampled_from(DeviceClass),
        words,
        words | st.just(ANY),
        st.sampled_from(Mode),
        st.dictionaries(names, values, max_size=3).map(lambda found: tuple(sorted(found.items()))),
    ).filter(lambda one: not one.port == one.ident == ANY),
    max_size=5,
)
STICK = Assignment(DeviceClass.BLOCK, "usb-2-1", "Acme_Stick", Mode.ASK, (("bus", "scsi"), ("read-only", "yes")))
CAMERA = Assignment(DeviceClass.USB, ANY, "04f2:b5a7::u0e0100")


@given(assignments)
def test_what_is_set_is_read_back(wanted: list[Assignment]) -> None:
    edit = MetadataEdit.of_text(None)
    edit.set_assignments(wanted)
    assert list(edit.config.assignments) == wanted
    again = MetadataEdit.of_text(edit.xml())
    assert list(again.config.assignments) == wanted


@given(assignments)
def test_a_domains_whole_document_says_the_same(wanted: list[Assignment]) -> None:
    document = etree.Element("domain")
    ours = new_element()
    MetadataEdit.of_element(ours).set_assignments(wanted)
    etree.SubElement(document, "metadata").append(ours)
    assert list(parse_config(etree.tostring(document, encoding="unicode")).assignments) == wanted


def test_setting_replaces_all_that_was_understood_and_nothing_else() -> None:
    edit = MetadataEdit.of_text(
        "<domain><label>red</label><assignment class='block' port='usb-1' mode='required'/><tag>a</tag>"
        "<assignment class='usb' device='x' mode='auto-attach'/></domain>"
    )
    assert len(edit.config.assignments) == 2
    edit.set_assignments([STICK])
    assert list(edit.config.assignments) == [STICK]
    edit.set_assignments(with_assignment(edit.config.assignments, CAMERA))
    assert set(edit.config.assignments) == {STICK, CAMERA}
    edit.set_assignments(())
    root = etree.fromstring(edit.xml())
    assert [(child.tag, child.text) for child in root] == [("label", "red"), ("tag", "a")]


UNKNOWN = (
    "<assignment class='nvme' port='a' mode='required'/>",
    "<assignment class='block' port='a' mode='tomorrow'/>",
    "<assignment class='block' port='a'/>",
    "<assignment port='a' mode='required'/>",
    "<assignment class='block' mode='required'/>",
    "<assignment class='block' port='*' device='*' mode='required'/>",
    "<assignment class='block' port='a' mode='required' options='bus'/>",
    "<assignment class='block' port='a' mode='required' options='bus=$(reboot)'/>",
    "<assignment class='block' port='a' mode='required' options='bus=usb,ro=1'/>",
    f"<assignment class='block' port='a' mode='required' options='bus={'x' * MIB}'/>",
    "<assignment/>",
)


@pytest.mark.parametrize("element", UNKNOWN)
def test_what_is_not_understood_means_nothing_and_stays(element: str) -> None:
    edit = MetadataEdit.of_text(f"<domain>{element}<later of='us'>kept</later></domain>")
    before = etree.tostring(etree.fromstring(edit.xml())[0], method="c14n")
    assert not edit.config.assignments
    edit.set_assignments([STICK])
    edit.set_assignments([CAMERA])
    assert list(edit.config.assignments) == [CAMERA]
    edit.set_assignments(())
    root = etree.fromstring(edit.xml())
    assert [child.tag for child in root] == ["assignment", "later"]
    assert etree.tostring(root[0], method="c14n") == before


@pytest.mark.parametrize("value", ["<x/>", "a&b", "\n\t", "\u202e", "'\"", "]]>", "--><evil/>", "\u2028", "*"])
def test_hostile_words_are_only_words(value: str) -> None:
    root = etree.Element("domain")
    etree.SubElement(root, "assignment", {"class": "usb", "port": value, "device": value + "x", "mode": "auto-attach"})
    edit = MetadataEdit.of_text(etree.tostring(root, encoding="unicode"))
    assert edit.config.assignments == (Assignment(DeviceClass.USB, value, value + "x"),)
    edit.set_assignments(edit.config.assignments)
    assert edit.config.assignments == (Assignment(DeviceClass.USB, value, value + "x"),)
    assert len(etree.fromstring(edit.xml())) == 1


def test_a_megabyte_of_a_port_is_read_and_written() -> None:
    long = Assignment(DeviceClass.BLOCK, "x" * MIB, ANY)
    edit = MetadataEdit.of_text(None)
    edit.set_assignments([long])
    assert edit.config.assignments == (long,)


def test_attributes_of_a_later_version_are_no_harm() -> None:
    element = etree.fromstring("<assignment class='block' port='a' mode='required' since='2'/>")
    assert read_assignment(element) == Assignment(DeviceClass.BLOCK, "a", ANY, Mode.REQUIRED)


def test_an_element_says_no_options_where_there_are_none() -> None:
    assert attributes_of(CAMERA) == {
        "class": "usb",
        "port": "*",
        "device": "04f2:b5a7::u0e0100",
        "mode": "auto-attach",
    }
    assert attributes_of(STICK)["options"] == "bus=scsi read-only=yes"


def test_elements_of_another_name_are_left_alone() -> None:
    root = etree.fromstring("<domain><other class='block' port='a' mode='required'/></domain>")
    put_assignments(root, "assignment", [STICK])
    assert [child.tag for child in root] == ["other", "assignment"]


def test_foreign_elements_are_no_assignments() -> None:
    text = (
        "<domain><metadata><qm:domain xmlns:qm='https://qubes-manager.org/xmlns/domain/1'>"
        "<assignment xmlns='urn:evil' class='block' port='a' mode='required'/>"
        "<qm:assignment class='block' port='b' mode='required'/></qm:domain></metadata></domain>"
    )
    assert [one.port for one in parse_config(text).assignments] == ["b"]
