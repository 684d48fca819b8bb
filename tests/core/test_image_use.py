"""The one rule of what may be deleted, and who may use an image together with whom."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import Refused, UnknownDisk
from qubes_manager.core.hardware import Disk
from qubes_manager.core.image_use import (
    ImageFile,
    ImageUse,
    clashing,
    recorded_elsewhere,
    refuse_other_disk,
    removal_plan,
    used,
)
from qubes_manager.core.volumes import OwnVolume, Role

ROOT = OwnVolume(Role.ROOT, "pool", "debian.root@1.qcow2", 1)
NEWER = OwnVolume(Role.ROOT, "pool", "debian.root@2.qcow2", 2, backing=ROOT.name)
KERNEL = OwnVolume(Role.KERNEL, "pool", "debian.kernel", digest="12")
VDA = Disk("vda")
PRIVATE = OwnVolume(Role.PRIVATE, "pool", "work.private.qcow2")


def domain(name: str, *volumes: OwnVolume) -> Domain:
    return Domain(DomainKey("x", name), name, DomainState.HALTED, config=DomainConfig(volumes=volumes))


def file(*names: str) -> ImageFile:
    return ImageFile(names[0], frozenset(names))


FILES = {v.name: file(f"/pool/{v.name}", f"inode:{v.name}") for v in (ROOT, NEWER, KERNEL, PRIVATE)}


def use(who: Domain, *files: ImageFile, place: str = "vda", **how: bool) -> ImageUse:
    return ImageUse(who.key, who.name, place, files, **how)


TEMPLATE = domain("debian", ROOT, NEWER, KERNEL)


def test_what_others_stand_on_or_record_is_not_theirs_alone() -> None:
    clone = domain("copy", OwnVolume(Role.ROOT, "pool", "copy.root@1.qcow2", 1, backing=NEWER.name))
    heir = domain("heir", OwnVolume(Role.BASE, "pool", ROOT.name))
    assert recorded_elsewhere(TEMPLATE, [TEMPLATE, clone]) == {NEWER.name}
    assert recorded_elsewhere(TEMPLATE, [TEMPLATE, heir]) == {ROOT.name}
    assert recorded_elsewhere(TEMPLATE, [TEMPLATE, domain("other", PRIVATE)]) == set()


def test_what_clones_stand_on_goes_to_one_of_them_and_the_rest_is_deleted() -> None:
    first, second = (domain(n, OwnVolume(Role.ROOT, "pool", f"{n}.root", backing=NEWER.name)) for n in ("a", "b"))
    uses = [use(first, file("/pool/a.root"), FILES[NEWER.name], FILES[ROOT.name])]
    plan = removal_plan(TEMPLATE, [TEMPLATE, first, second], FILES, uses)
    bases = (OwnVolume(Role.BASE, "pool", NEWER.name, backing=ROOT.name), OwnVolume(Role.BASE, "pool", ROOT.name))
    assert (plan.heirs, plan.deleted) == ({first.key: bases}, (KERNEL,))


def test_a_kernel_that_a_domain_of_ours_boots_becomes_its_own() -> None:
    alone = domain("alone", OwnVolume(Role.ROOT, "pool", "alone.root", backing=ROOT.name))
    plan = removal_plan(TEMPLATE, [alone], FILES, [use(alone, FILES[KERNEL.name], place="kernel")])
    assert KERNEL in plan.heirs[alone.key]
    assert plan.deleted == (NEWER,)
    # One that looks it up anew at its next start does not need this one.
    app = domain("app", PRIVATE)
    plan = removal_plan(domain("debian", KERNEL), [app], FILES, [])
    assert plan.deleted == (KERNEL,)
    with pytest.raises(Refused, match="“foreign” has it, or what stands on it, as kernel"):
        foreign = domain("foreign")
        removal_plan(TEMPLATE, [foreign], FILES, [use(foreign, FILES[KERNEL.name], place="kernel")])


@pytest.mark.parametrize(
    "files",
    [
        [file("/pool/debian.root@1.qcow2")],
        [file("/links/root", "inode:debian.root@1.qcow2")],
        [file("/foreign/overlay.qcow2"), file("/elsewhere", "inode:debian.root@1.qcow2")],
    ],
    ids=["by its path", "by a link", "below an overlay"],
)
def test_a_removal_is_refused_by_the_name_of_who_uses_what_would_be_deleted(files: list[ImageFile]) -> None:
    foreign = domain("foreign")
    with pytest.raises(Refused, match=r"debian\.root@1\.qcow2 is needed: “foreign” runs with it, or what stands on it"):
        removal_plan(TEMPLATE, [foreign], FILES, [use(foreign, *files, active=True)])
    # What it uses itself goes with it.
    assert removal_plan(TEMPLATE, [foreign], FILES, [use(TEMPLATE, *files)]).deleted == TEMPLATE.config.volumes


NAMES = [f"v{n}" for n in range(6)]
ALIASES = st.sets(st.sampled_from(["path", "inode", "volume"]), min_size=1)
CHAINS = st.lists(st.tuples(st.sampled_from([*NAMES, "else"]), ALIASES), max_size=4)


@given(
    backings=st.lists(st.sampled_from(["", *NAMES]), min_size=6, max_size=6),
    recorded=st.lists(st.lists(st.sampled_from(NAMES), max_size=2), max_size=3),
    chains=st.lists(CHAINS, max_size=4),
)
def test_nothing_that_any_other_domain_uses_stands_on_or_records_is_deleted(
    backings: list[str], recorded: list[list[str]], chains: list[list[tuple[str, set[str]]]]
) -> None:
    backing = dict(zip(NAMES, backings, strict=True))
    volumes = [OwnVolume(Role.ROOT, "pool", name, n, backing=backing[name]) for n, name in enumerate(NAMES)]
    own = domain("own", *volumes)
    files = {name: file(*(f"{kind}:{name}" for kind in ("path", "inode", "volume"))) for name in NAMES}
    others = [
        domain(f"o{n}", *(OwnVolume(Role.ROOT, "pool", f"o{n}.{i}", backing=below) for i, below in enumerate(names)))
        for n, names in enumerate(recorded)
    ]
    uses = [
        use(domain(f"f{n}"), *(file(*(f"{kind}:{name}" for kind in kinds)) for name, kinds in layers))
        for n, layers in enumerate(chains)
    ]
    touched = {name for layers in chains for name, _kinds in layers} & set(NAMES)
    needed = {found for names in recorded for name in names for found in _below(name, backing)}
    try:
        plan = removal_plan(own, others, files, uses)
    except Refused:
        # Only for the sake of one that would have been deleted.
        assert touched - needed
        return
    deleted = {v.name for v in plan.deleted}
    assert not deleted & (touched | needed)
    # Each volume is deleted or somebody's, and nobody's twice.
    given_away = [v.name for bases in plan.heirs.values() for v in bases]
    assert sorted([*deleted, *given_away]) == NAMES
    if not touched and not needed:
        assert deleted == set(NAMES)


def _below(name: str, backings: dict[str, str]) -> set[str]:
    found: set[str] = set()
    while name and name not in found:
        found.add(name)
        name = backings[name]
    return found


def test_users_are_found_for_the_volumes_that_are_there() -> None:
    foreign = use(domain("foreign"), FILES[ROOT.name])
    assert used([ROOT, NEWER, PRIVATE], {ROOT.name: FILES[ROOT.name]}, [foreign]) == {ROOT.name: foreign}


@pytest.mark.parametrize("writes", [True, False])
@pytest.mark.parametrize("theirs", [True, False])
def test_who_writes_to_an_image_is_alone_with_it(writes: bool, theirs: bool) -> None:
    image, base = file("/a"), file("/base")
    other = use(domain("other"), image, base, writes=theirs)
    assert clashing([other], [image], writes=writes) == ([other] if writes or theirs else [])
    assert clashing([other], [base], writes=writes) == ([other] if writes else [])
    assert clashing([other], [file("/b"), image, base], writes=writes) == ([other] if theirs else [])
    assert clashing([other], [file("/b"), base], writes=writes) == []


def test_a_snapshot_of_another_program_is_named_with_what_to_do() -> None:
    volumes, overlay = [ROOT, NEWER], file("/pool/debian.snap")
    for below in (ROOT, NEWER):
        refuse_other_disk("debian", VDA, volumes, FILES, [FILES[below.name]])
    with pytest.raises(UnknownDisk) as caught:
        refuse_other_disk("debian", VDA, volumes, FILES, [overlay, FILES[NEWER.name], FILES[ROOT.name]])
    assert str(caught.value) == (
        "“debian”: its disk vda is /pool/debian.snap, a snapshot made by another program above debian.root@2.qcow2: "
        "merge it (virsh start debian; virsh blockcommit debian vda --base /pool/debian.root@2.qcow2 --pivot; "
        "virsh shutdown debian), then try again"
    )
    with pytest.raises(
        UnknownDisk, match=r"its disk vda is /x\.img, and not debian\.root@1\.qcow2, which this program"
    ):
        refuse_other_disk("debian", VDA, [ROOT], FILES, [file("/x.img")])
    # What domains run from is not merged into.
    with pytest.raises(
        UnknownDisk, match=r"go back to revision 1 \(“Revisions…”, or qvm-volume revert debian:root 1\)"
    ):
        refuse_other_disk("debian", replace(VDA, transient=True), volumes, FILES, [overlay, FILES[ROOT.name]])
    # Of a volume that is gone there is nothing to compare with.
    refuse_other_disk("debian", VDA, [ROOT], {}, [file("/x.img")])
