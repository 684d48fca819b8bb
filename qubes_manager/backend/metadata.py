"""Our element under a domain's <metadata>: reading and editing it. What we do not know in it survives."""

from collections.abc import Iterable, Mapping

from lxml import etree

from qubes_manager.core.domain import DomainClass, DomainConfig, OwnVolume
from qubes_manager.core.labels import LABELS

NAMESPACE = "https://qubes-manager.org/xmlns/domain/1"
PREFIX = "qm"
_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, remove_blank_text=False)
_CLASSES = {klass.value: klass for klass in DomainClass}


def parse(xml: str | bytes) -> etree._Element:
    """Parse XML without entities, network or comments' side effects; raises etree.XMLSyntaxError."""
    return etree.fromstring(xml, _PARSER)


def tag(name: str) -> str:
    """The qualified name of one of our elements."""
    return f"{{{NAMESPACE}}}{name}"


_DOMAIN, _TAG, _FEATURE, _VOLUME = map(tag, ("domain", "tag", "feature", "volume"))


def read_from(element: etree._Element | None) -> dict[str, object]:
    """Return the DomainConfig fields that <metadata> sets; empty for a domain without ours."""
    ours = next((child for child in element if child.tag == _DOMAIN), None) if element is not None else None
    if ours is None:
        return {}
    texts: dict[str, str] = {}
    tags, features, volumes = [], [], []
    for child in ours:
        text = (child.text or "").strip()
        if child.tag == _TAG:
            tags.append(text)
        elif child.tag == _FEATURE:
            features.append((child.get("name", ""), child.text or ""))
        elif child.tag == _VOLUME:
            volumes.append(OwnVolume(child.get("role", ""), child.get("pool", ""), text))
        else:
            texts[child.tag] = text
    return {
        "klass": _CLASSES.get(texts.get(tag("class"), ""), DomainClass.STANDALONE),
        "label": LABELS.get(texts.get(tag("label"), "")),
        "template": texts.get(tag("template"), ""),
        "default_dispvm": texts.get(tag("default_dispvm"), ""),
        "include_in_backups": texts.get(tag("include_in_backups")) != "False",
        "tags": frozenset(filter(None, tags)),
        "features": tuple(sorted(features)),
        "volumes": tuple(volumes),
    }


class MetadataEdit:
    """An edit of our element; ``xml()`` gives the result for virDomainSetMetadata.

    libvirt takes our namespace off the elements that it hands out by virDomainGetMetadata and puts it on those
    that it is given, so the names here are plain. Elements of other namespaces keep theirs.
    """

    def __init__(self, existing: str | None) -> None:
        self._root = parse(existing) if existing else etree.Element("domain")

    def set_text(self, name: str, value: str | None) -> None:
        """Set the element *name*; None takes it away."""
        found = self._root.find(name)
        if value is None:
            if found is not None:
                self._root.remove(found)
            return
        if found is None:
            found = etree.SubElement(self._root, name)
        found.text = value

    def adopt(self) -> None:
        """Give a class to a domain that this program did not make."""
        if self._root.find("class") is None:
            self.set_text("class", DomainClass.STANDALONE.value)

    def set_tags(self, tags: Iterable[str]) -> None:
        """Replace all tags."""
        self._replace("tag", [({}, value) for value in sorted(tags)])

    def set_features(self, features: Mapping[str, str]) -> None:
        """Replace all features."""
        self._replace("feature", [({"name": name}, value) for name, value in sorted(features.items())])

    def set_volumes(self, volumes: Iterable[OwnVolume]) -> None:
        """Replace the record of our volumes."""
        self._replace("volume", [({"role": v.role, "pool": v.pool}, v.name) for v in volumes])

    def xml(self) -> str:
        """The element as text, for virDomainSetMetadata."""
        return etree.tostring(self._root, encoding="unicode")

    def namespaced(self) -> etree._Element:
        """The element in our namespace, for a domain's XML."""
        root = etree.Element(_DOMAIN, nsmap={PREFIX: NAMESPACE})
        for child in self._root:
            etree.SubElement(root, tag(str(child.tag)), {str(k): str(v) for k, v in child.items()}).text = child.text
        return root

    def _replace(self, name: str, elements: list[tuple[dict[str, str], str]]) -> None:
        for old in self._root.findall(name):
            self._root.remove(old)
        for attributes, text in elements:
            etree.SubElement(self._root, name, attributes).text = text


def for_new_domain(config: DomainConfig) -> etree._Element:
    """Our element for a domain that is about to be defined."""
    edit = MetadataEdit(None)
    edit.set_text("label", config.label.name if config.label else None)
    edit.set_text("class", config.klass.value)
    edit.set_text("template", config.template or None)
    edit.set_tags(config.tags)
    edit.set_features(dict(config.features))
    edit.set_volumes(config.volumes)
    return edit.namespaced()
