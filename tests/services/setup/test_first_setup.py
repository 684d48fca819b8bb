"""Every step of the set-up can be repeated: what is there stays. What makes things is a stand-in that may fail."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.template_recipe import TemplateRecipe
from qubes_manager.services.files.global_defaults import GlobalDefaults
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.setup.first_setup import FirstSetup, SetupPlan
from tests.build import domain

URI = "test:///x"
PLAN = SetupPlan(TemplateRecipe("trixie"), memory=300)


class Maker:
    """Puts into the store what is to be made, but for the domain that *fails*."""

    def __init__(self, store: DomainStore) -> None:
        self._store = store
        self.requests: list[CreationRequest] = []
        self.fails = ""

    async def build(self, uri: str, name: str, _recipe: TemplateRecipe, **_options: Any) -> DomainKey:
        return self._put(uri, name, DomainClass.TEMPLATE)

    async def create(self, uri: str, request: CreationRequest, **_options: Any) -> DomainKey:
        self.requests.append(request)
        return self._put(uri, request.name, request.klass)

    def _put(self, uri: str, name: str, klass: DomainClass) -> DomainKey:
        if name == self.fails:
            raise QubesManagerError(f"{name} fails")
        made = domain(name, key=DomainKey(uri, name), state=DomainState.HALTED, config=DomainConfig(klass=klass))
        assert made.key not in self._store.domains
        self._store.put([made])
        return made.key


class Scene:
    def __init__(self, folder: Path) -> None:
        self.store = DomainStore()
        self.maker = Maker(self.store)
        self.defaults = GlobalDefaults(folder / "defaults.yaml")
        self.setup = FirstSetup(self.store, self.maker, self.maker, self.defaults)  # type: ignore[arg-type]

    def names(self) -> set[str]:
        return {d.name for d in self.store.domains.values()}


@pytest.mark.parametrize(("there", "suite"), [("", "trixie"), ("mine", "trixie"), ("debian-12", "bookworm")])
def test_a_release_that_is_there_is_not_replaced_by_a_newer_one(scene: "Scene", there: str, suite: str) -> None:
    config = DomainConfig(klass=DomainClass.TEMPLATE)
    scene.store.put([domain(there, key=DomainKey(URI, there), config=config)] if there else [])
    assert scene.setup.usual_suite(URI) == suite


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def test_an_empty_machine_gets_a_template_and_three_domains_of_it(scene: Scene) -> None:
    result = await scene.setup.run(URI, PLAN)
    assert scene.setup.templates(URI) == ["debian-13"]
    assert (result.template, [key.uuid for key in result.made]) == ("debian-13", ["work", "personal", "untrusted"])
    assert [(r.label, r.template, r.memory, r.klass) for r in scene.maker.requests] == [
        (label, "debian-13", 300, DomainClass.APP) for label in ("blue", "yellow", "red", "red")
    ]
    assert [r.name for r in scene.maker.requests if r.template_for_dispvms] == ["default-dvm"]
    assert scene.defaults.get("default_dispvm") == "default-dvm"
    assert scene.defaults.get("default_template") == "debian-13"


async def test_a_second_time_only_what_is_missing_is_made(scene: Scene) -> None:
    await scene.setup.run(URI, PLAN)
    assert (await scene.setup.run(URI, PLAN)).made == ()
    scene.store.remove([DomainKey(URI, "personal")])
    assert [key.uuid for key in (await scene.setup.run(URI, PLAN)).made] == ["personal"]


async def test_what_failed_in_the_middle_is_finished_by_another_try(scene: Scene) -> None:
    scene.maker.fails = "personal"
    with pytest.raises(QubesManagerError, match="personal fails"):
        await scene.setup.run(URI, PLAN)
    assert scene.names() == {"debian-13", "work"}
    scene.maker.fails = ""
    assert [key.uuid for key in (await scene.setup.run(URI, PLAN)).made] == ["personal", "untrusted"]


async def test_a_template_that_cannot_be_built_is_nobodys_default(scene: Scene) -> None:
    scene.maker.fails = "debian-13"
    with pytest.raises(QubesManagerError):
        await scene.setup.run(URI, PLAN)
    assert (scene.names(), scene.defaults.get("default_template")) == (set(), "")


async def test_an_image_or_a_template_that_is_there_may_take_the_place_of_a_build(scene: Scene) -> None:
    image = SetupPlan(None, "mine", Path("/cloud.img"), "a" * 64, domains=(("one", "red"),))
    assert (await scene.setup.run(URI, image)).template == "mine"
    load = scene.maker.requests[0]
    assert (load.klass, load.image, load.checksum) == (DomainClass.TEMPLATE, Path("/cloud.img"), "a" * 64)
    named = SetupPlan(None, "mine", domains=(("two", "blue"),))
    await scene.setup.run(URI, named)
    assert scene.names() == {"mine", "default-dvm", "one", "two"}


async def test_what_disposables_are_made_of_is_made_where_it_is_wanted_and_replaces_no_choice(scene: Scene) -> None:
    await scene.setup.run(URI, replace(PLAN, disposables=False))
    assert "default-dvm" not in scene.names()
    assert scene.defaults.get("default_dispvm") == ""
    scene.defaults.set("default_dispvm", "mine")
    await scene.setup.run(URI, PLAN)
    assert "default-dvm" in scene.names()
    assert scene.defaults.get("default_dispvm") == "mine"
