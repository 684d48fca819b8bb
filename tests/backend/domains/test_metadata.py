"""What we keep in a domain’s metadata."""

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.backend.domains.metadata import MetadataEdit, for_new_domain
from qubes_manager.core.domain import DomainClass, DomainConfig
from qubes_manager.core.labels import LABELS
from qubes_manager.core.volumes import OwnVolume, Role

words = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(str.strip)


@given(
    st.frozensets(words.map(str.strip), max_size=5),
    st.dictionaries(words, words, max_size=5),
    st.sampled_from([None, *LABELS]),
)
def test_metadata_survives_the_way_through_a_document(
    tags: frozenset[str], features: dict[str, str], label: str | None
) -> None:
    config = DomainConfig(
        label=LABELS[label] if label else None,
        klass=DomainClass.APP,
        tags=tags,
        features=tuple(sorted(features.items())),
        volumes=(OwnVolume(Role.ROOT, "p", "n"),),
    )
    document = etree.Element("domain")
    etree.SubElement(document, "metadata").append(for_new_domain(config))
    read = parse_config(etree.tostring(document, encoding="unicode"))
    assert (read.label, read.klass, read.tags, read.volumes) == (config.label, config.klass, tags, config.volumes)
    assert dict(read.features) == features


@given(st.frozensets(words.map(str.strip), max_size=4))
def test_an_edit_of_metadata_keeps_what_it_does_not_know(tags: frozenset[str]) -> None:
    edit = MetadataEdit.of_text("<domain><label>red</label><future a='1'>kept</future><tag>old</tag></domain>")
    edit.add_tags(tags)
    edit.remove_tags({"old"} - tags)
    edit.set_text("label", "blue")
    root = etree.fromstring(edit.xml())
    assert root.findtext("future") == "kept"
    future = root.find("future")
    assert future is not None and future.get("a") == "1"
    assert root.findtext("label") == "blue"
    assert {e.text for e in root.findall("tag")} == tags
