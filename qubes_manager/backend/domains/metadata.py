"""Our element under a domain's <metadata>: reading and editing it. What we do not know in it survives."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

from lxml import etree

from qubes_manager.backend.domains.assignment_xml import ASSIGNMENT, put_assignments, read_assignment
from qubes_manager.backend.user.owner import owner
from qubes_manager.backend.xml import parse
from qubes_manager.core.devices.assignment import Assignment
from qubes_manager.core.domain import Disposal, DomainClass, DomainConfig, Job
from qubes_manager.core.labels import LABELS
from qubes_manager.core.volumes import DEFAULT_KEEP, OwnVolume, Role

NAMESPACE = "https://qubes-manager.org/xmlns/domain/1"
PREFIX = "qm"
_CLASSES = {klass.value: klass for klass in DomainClass}


def tag(name: str) -> str:
    """The qualified name of one of our elements."""
    return f"{{{NAMESPACE}}}{name}"


_DOMAIN, _TAG, _FEATURE, _VOLUME, _ASSIGNMENT = map(tag, ("domain", "tag", "feature", "volume", ASSIGNMENT))
_ROLES = {role.value: role for role in Role}
_JOBS = {job.value: job for job in Job}
_DISPOSALS = {disposal.value: disposal for disposal in Disposal}


# What the elements with one value set: the field of DomainConfig, and how the value is read. An element that is absent
# leaves the field's default.
_READERS: dict[str, tuple[str, Callable[[str], object]]] = {
    tag(name): (field, read)
    for name, field, read in (
        ("class", "klass", lambda text: _CLASSES.get(text, DomainClass.STANDALONE)),
        ("label", "label", LABELS.get),
        ("template", "template", str),
        ("default_dispvm", "default_dispvm", str),
        ("include_in_backups", "include_in_backups", lambda text: text != "False"),
        ("template_for_dispvms", "template_for_dispvms", lambda text: text == "True"),
        ("provides_network", "provides_network", lambda text: text == "True"),
        ("network", "network", str),
        ("firewall", "firewall", str),
        ("audiovm", "audiovm", str),
        ("devices_denied", "devices_denied", lambda text: tuple(text.split())),
        ("muted", "muted", lambda text: text == "True"),
        ("revision", "revision", lambda text: _number(text, 0)),
        ("trial", "trial", lambda text: _number(text, 0)),
        ("keep_revisions", "keep_revisions", lambda text: _number(text, DEFAULT_KEEP)),
        ("disposal", "disposal", _DISPOSALS.get),
        ("job", "job", _JOBS.get),
        ("program", "program", lambda text: _number(text, 0)),
        ("menu", "menu", lambda text: tuple(text.split())),
        ("favourites", "favourites", lambda text: tuple(text.split())),
    )
}
# Attributes that are fields too.
_ATTRIBUTES = {
    "template": ("uuid", "template_uuid"),
    "default_dispvm": ("uuid", "default_dispvm_uuid"),
    "disposal": ("of", "made_of"),
    "job": ("by", "job_by"),
    "firewall": ("home", "home_network"),
    "network": ("uuid", "network_uuid"),
}


def read_from(element: etree._Element | None) -> dict[str, Any]:
    """Return the DomainConfig fields that <metadata> sets; empty for a domain without ours."""
    ours = find_ours(element)
    if ours is None:
        return {}
    fields: dict[str, Any] = {}
    tags, features, volumes, assignments = [], [], [], []
    for child in ours:
        name, text = child.tag, (child.text or "").strip()
        if found := _READERS.get(name):
            field, read = found
            fields[field] = read(text)
            if field in _ATTRIBUTES:
                attribute, other = _ATTRIBUTES[field]
                fields[other] = child.get(attribute, "")
        elif name == _TAG:
            tags.append(text)
        elif name == _FEATURE:
            features.append((child.get("name", ""), child.text or ""))
        elif name == _VOLUME and (volume := _read_volume(child, text)):
            volumes.append(volume)
        elif name == _ASSIGNMENT and (assignment := read_assignment(child)):
            assignments.append(assignment)
    if tags:
        fields["tags"] = frozenset(filter(None, tags))
    if features:
        fields["features"] = tuple(sorted(features))
    if volumes:
        fields["volumes"] = tuple(volumes)
    if assignments:
        fields["assignments"] = tuple(assignments)
    return fields


def find_ours(element: etree._Element | None) -> etree._Element | None:
    """Our element among the children of <metadata>."""
    return next((child for child in element if child.tag == _DOMAIN), None) if element is not None else None


def plain(ours: etree._Element) -> str:
    """Our element of a domain's XML as virDomainSetMetadata takes it: see MetadataEdit."""
    bare = copy.deepcopy(ours)
    bare.tail = None
    for part in bare.iter(f"{{{NAMESPACE}}}*"):
        part.tag = etree.QName(part).localname
    etree.cleanup_namespaces(bare)
    return etree.tostring(bare, encoding="unicode")


def _number(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


def _read_volume(element: etree._Element, name: str) -> OwnVolume | None:
    """A volume's record; None for a role of a later version of this program."""
    role = _ROLES.get(element.get("role", ""))
    if role is None or not name:
        return None
    return OwnVolume(
        role,
        element.get("pool", ""),
        name,
        revision=_number(element.get("revision", ""), 0),
        backing=element.get("backing", ""),
        digest=element.get("sha256", ""),
        verified=element.get("verified", ""),
        unfinished=bool(element.get("unfinished")),
        maker=element.get("unfinished", ""),
        state=element.get("state", ""),
    )


def _volume_attributes(volume: OwnVolume) -> dict[str, str]:
    optional = {
        "revision": str(volume.revision or ""),
        "backing": volume.backing,
        "sha256": volume.digest,
        "verified": volume.verified,
        "state": volume.state,
        "unfinished": (volume.maker or owner()) if volume.unfinished else "",
    }
    return {"role": volume.role.value, "pool": volume.pool, **{k: v for k, v in optional.items() if v}}


_VOLUME_ATTRIBUTES = ("role", "pool", "revision", "backing", "sha256", "verified", "state", "unfinished")


def _set_or_remove(element: etree._Element, attribute: str, value: str) -> None:
    if value:
        element.set(attribute, value)
    elif attribute in element.attrib:
        del element.attrib[attribute]


class MetadataEdit:
    """An edit of our element; ``xml()`` gives the result for virDomainSetMetadata.

    libvirt takes our namespace off the elements that it hands out by virDomainGetMetadata and puts it on those
    that it is given, so the names are plain there (``MetadataEdit.of_text``). In a domain's whole XML they are not
    (``MetadataEdit.of_element``). Elements of other namespaces keep theirs.
    """

    def __init__(self, root: etree._Element, qualify: Callable[[str], str]) -> None:
        self._root = root
        self._qualify = qualify

    @classmethod
    def of_text(cls, existing: str | None) -> "MetadataEdit":
        """An edit of what virDomainGetMetadata returned, or of nothing yet."""
        return cls(parse(existing) if existing else etree.Element("domain"), str)

    @classmethod
    def of_element(cls, root: etree._Element) -> "MetadataEdit":
        """An edit of our element inside a domain's XML."""
        return cls(root, tag)

    def set_text(self, name: str, value: str | None, **attributes: str) -> None:
        """Set the element *name*; None takes it away. Attributes that are empty are left out."""
        found = self._root.find(self._qualify(name))
        if value is None:
            if found is not None:
                self._root.remove(found)
            return
        if found is None:
            found = etree.SubElement(self._root, self._qualify(name))
        found.text = value
        for key, attribute in attributes.items():
            _set_or_remove(found, key, attribute)

    def take_network(self, config: DomainConfig) -> None:
        """Set whose network it is as *config* says it."""
        self.set_text("network", config.network or None, uuid=config.network_uuid)

    def set_number(self, name: str, value: int) -> None:
        """Set the element *name* to a number; 0 takes it away."""
        self.set_text(name, str(value) if value else None)

    def set_job(self, job: Job | None) -> None:
        """Record a change that is begun, or that it has ended."""
        self.set_text("job", job.value if job else None, by=owner())

    def set_disposal(self, disposal: Disposal, program: int = 0) -> None:
        """Say when a disposable ends; *program* is its first one's number for its agent, if it was started so."""
        self.set_text("disposal", disposal.value)
        self.set_number("program", program)

    def set_made_of(self, digest: str) -> None:
        """Record what a disposable was made of; needs ``set_disposal`` before."""
        if (found := self._root.find(self._qualify("disposal"))) is not None:
            found.set("of", digest)

    def adopt(self) -> None:
        """Give a class to a domain that this program did not make."""
        if self._root.find(self._qualify("class")) is None:
            self.set_text("class", DomainClass.STANDALONE.value)

    def add_tags(self, tags: Iterable[str]) -> None:
        """Add tags, beside those that are there."""
        for value in sorted(set(tags) - self._texts("tag").keys()):
            self._add("tag").text = value

    def remove_tags(self, tags: Iterable[str]) -> None:
        """Take tags away."""
        found = self._texts("tag")
        for value in tags:
            for element in found.get(value, ()):
                self._root.remove(element)

    def set_feature(self, name: str, value: str | None) -> None:
        """Set a feature; None takes it away."""
        found = [element for element in self._all("feature") if element.get("name") == name]
        if value is None:
            for element in found:
                self._root.remove(element)
        else:
            element = found[0] if found else self._add("feature")
            element.set("name", name)
            element.text = value

    def put_volumes(self, *volumes: OwnVolume) -> None:
        """Record volumes of ours, in place of those of the same name."""
        for volume in volumes:
            found = self._texts("volume").get(volume.name, [])
            element = found[0] if found else self._add("volume")
            wanted = _volume_attributes(volume)
            for attribute in _VOLUME_ATTRIBUTES:
                _set_or_remove(element, attribute, wanted.get(attribute, ""))
            element.text = volume.name

    def set_volumes(self, volumes: Iterable[OwnVolume]) -> None:
        """Replace the record, as in a copy of another domain, whose volumes are none of the copy's."""
        for element in self._all("volume"):
            self._root.remove(element)
        self.put_volumes(*volumes)

    def drop_volumes(self, names: Iterable[str]) -> None:
        """Take volumes out of the record."""
        found = self._texts("volume")
        for name in names:
            for element in found.get(name, ()):
                self._root.remove(element)

    def set_assignments(self, assignments: Iterable[Assignment]) -> None:
        """Set which devices it is to have."""
        put_assignments(self._root, self._qualify(ASSIGNMENT), assignments)

    def menu(self) -> tuple[str, ...] | None:
        """The applications that the menu shows; None for all."""
        found = self._root.find(self._qualify("menu"))
        return None if found is None else tuple((found.text or "").split())

    def set_menu(self, menu: Iterable[str] | None) -> None:
        """Set which applications the menu shows; None for all."""
        self.set_text("menu", None if menu is None else " ".join(menu))

    def favourites(self) -> tuple[str, ...]:
        """The applications that come first."""
        return tuple((self._root.findtext(self._qualify("favourites")) or "").split())

    def set_favourites(self, applications: Iterable[str]) -> None:
        """Set which applications come first."""
        self.set_text("favourites", " ".join(applications) or None)

    @property
    def config(self) -> DomainConfig:
        """What the element says now."""
        place = etree.Element("metadata")
        ours = copy.deepcopy(self._root)
        for part in ours.iter(etree.Element):
            if not str(part.tag).startswith("{"):
                part.tag = tag(str(part.tag))
        place.append(ours)
        return DomainConfig(**read_from(place))

    def xml(self) -> str:
        """The element as text, for virDomainSetMetadata."""
        return etree.tostring(self._root, encoding="unicode")

    def _all(self, name: str) -> list[etree._Element]:
        return self._root.findall(self._qualify(name))

    def _texts(self, name: str) -> dict[str, list[etree._Element]]:
        found: dict[str, list[etree._Element]] = {}
        for element in self._all(name):
            found.setdefault((element.text or "").strip(), []).append(element)
        return found

    def _add(self, name: str) -> etree._Element:
        return etree.SubElement(self._root, self._qualify(name))


def with_network_of(text: str, other: str) -> str:
    """Our element *text* with what *other*, which may be empty, says of whose network it is."""
    edit = MetadataEdit.of_text(text)
    edit.take_network(MetadataEdit.of_text(other).config)
    return edit.xml()


def new_element() -> etree._Element:
    """Our element, empty, for a domain's XML."""
    return etree.Element(_DOMAIN, nsmap={PREFIX: NAMESPACE})


def for_new_domain(config: DomainConfig) -> etree._Element:
    """Our element for a domain that is about to be defined."""
    root = new_element()
    edit = MetadataEdit.of_element(root)
    edit.set_text("label", config.label.name if config.label else None)
    edit.set_text("class", config.klass.value)
    edit.set_text("template", config.template or None, uuid=config.template_uuid)
    edit.set_text("default_dispvm", config.default_dispvm or None, uuid=config.default_dispvm_uuid)
    edit.set_text("include_in_backups", None if config.include_in_backups else "False")
    edit.set_text("template_for_dispvms", "True" if config.template_for_dispvms else None)
    edit.set_text("provides_network", "True" if config.provides_network else None)
    edit.take_network(config)
    edit.set_text("firewall", config.firewall, home=config.home_network)
    edit.set_text("audiovm", config.audiovm or None)
    edit.set_text("devices_denied", " ".join(config.devices_denied) or None)
    edit.set_text("muted", "True" if config.muted else None)
    edit.set_number("revision", config.revision)
    edit.set_number("keep_revisions", 0 if config.keep_revisions == DEFAULT_KEEP else config.keep_revisions)
    edit.set_job(config.job)
    edit.add_tags(config.tags)
    for name, value in config.features:
        edit.set_feature(name, value)
    edit.put_volumes(*config.volumes)
    edit.set_menu(config.menu)
    edit.set_favourites(config.favourites)
    return root
