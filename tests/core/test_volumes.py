"""The rules of revisions."""

from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.volumes import OwnVolume, Role, chain, is_our_name, past, revisions, superfluous, volume_name


def root(number: int, below: int = 0, role: Role = Role.ROOT, **more: Any) -> OwnVolume:
    return OwnVolume(role, "pool", f"root@{number}", number, backing=f"root@{below}" if below else "", **more)


@st.composite
def trees(draw: st.DrawFn) -> tuple[list[OwnVolume], int, int, int, set[str]]:
    """Roots, each on an earlier one or on none; the current one, a trial, how many to keep, what is used."""
    count = draw(st.integers(1, 8))
    volumes = []
    for number in range(1, count + 1):
        role = draw(st.sampled_from([Role.ROOT, Role.ROOT, Role.BASE]))
        volumes.append(root(number, draw(st.integers(0, number - 1)), role))
    numbers = st.integers(1, count)
    used = draw(st.sets(numbers.map(lambda n: f"root@{n}"), max_size=3))
    return volumes, draw(numbers), draw(st.sampled_from([0, count])), draw(st.integers(1, 4)), used


@given(trees())
def test_what_goes_is_needed_by_nobody_and_goes_from_the_top(
    tree: tuple[list[OwnVolume], int, int, int, set[str]],
) -> None:
    volumes, current, trial, keep, used = tree
    gone = superfluous(volumes, current, trial, keep, used)
    names = {v.name for v in gone}
    left = [v for v in volumes if v.name not in names]
    # What is left stands on nothing that went, and what must stay is left.
    assert not [v for v in left if v.backing in names]
    assert used <= {v.name for v in left}
    assert {v.revision for v in left} >= {
        v.revision for v in volumes if v.revision in (current, trial) and v.role is Role.ROOT
    }
    assert len(revisions(left)) >= min(keep, len(revisions(volumes)))
    # Nobody is deleted while something stands on it.
    for place, volume in enumerate(gone):
        assert not [v for v in gone[place + 1 :] if v.backing == volume.name]
    # A second look finds nothing more.
    assert superfluous(left, current, trial, keep, used) == []


def test_past_revisions_are_those_that_nobody_would_go_back_to() -> None:
    volumes = [root(1), root(2, 1), root(3, 2), root(4, 3)]
    assert past(volumes, 4, 0, 2) == [volumes[0], volumes[1]]
    assert past(volumes, 1, 0, 2) == [volumes[1]]
    assert past(volumes, 4, 0, 9) == []


def test_an_unfinished_volume_is_no_revision_and_stays() -> None:
    volumes = [root(1), root(2, 1, unfinished=True)]
    assert revisions(volumes) == [volumes[0]]
    assert superfluous(volumes, 1, 0, 1, []) == []


def test_a_chain_ends_where_it_leaves_what_is_known() -> None:
    volumes = [root(2, 1), root(3, 2)]
    assert [v.revision for v in chain("root@3", volumes)] == [3, 2]
    circle = [OwnVolume(Role.ROOT, "p", "a", backing="b"), OwnVolume(Role.ROOT, "p", "b", backing="a")]
    assert len(chain("a", circle)) == 2


def test_names_of_volumes_say_what_they_are() -> None:
    name = volume_name("work", "3fa2b1c9-aaaa-bbbb-cccc-dddddddddddd", Role.ROOT, "qcow2", 7)
    assert name == "work.3fa2b1c9.root@7.qcow2"
    assert OwnVolume(Role.ROOT, "p", name).format == "qcow2"
    assert OwnVolume(Role.ROOT, "p", volume_name("a", "b", Role.ROOT, "img")).format == "raw"


@given(
    st.text(min_size=1),
    st.uuids(),
    st.sampled_from(Role),
    st.sampled_from(["qcow2", "iso", "whole.qcow2", "export-1f3a.qcow2", "vmlinuz"]),
)
def test_what_we_name_is_called_as_ours_are(domain: str, uuid: UUID, role: Role, ending: str) -> None:
    for revision in (0, 12):
        assert is_our_name(volume_name(domain, str(uuid), role, ending, revision))


def test_what_others_name_is_not() -> None:
    for name in ("thesis.qcow2", "work.private.qcow2", "work.0123abcd.qcow2", "work.0123abcd.root", "", "/etc/passwd"):
        assert not is_our_name(name)
