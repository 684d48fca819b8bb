"""Templates of files that were built, on a real libvirt; what builds them is in tests/backend."""

from pathlib import Path

import pytest

from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.guests.debian_template import recipe_digest
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.core.domain import DomainClass, DomainConfig
from qubes_manager.core.errors import BadInput, NotFound, Refused
from qubes_manager.core.template_recipe import TemplateRecipe
from qubes_manager.core.volumes import Role
from tests.services.conftest import MakeWorld, World

PLAIN, WINDOWS = TemplateRecipe("trixie", windows=False), TemplateRecipe("bookworm")


def build_beforehand(cache: Path, recipe: TemplateRecipe) -> None:
    """Put what a recipe is built to into the cache."""
    folder = cache / f"debian-{recipe.suite}-{recipe_digest(recipe)}"
    folder.mkdir(parents=True)
    run_tool_now(["qemu-img", "create", "-f", "qcow2", folder / "root.qcow2", "4M"])
    (folder / "vmlinuz").write_bytes(b"kernel")
    (folder / "initrd.img").write_bytes(b"initrd")


@pytest.mark.parametrize(("recipe", "has_windows"), [(PLAIN, False), (WINDOWS, True)])
async def test_what_was_built_before_is_taken_from_the_cache(
    qemu_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: TemplateRecipe, has_windows: bool
) -> None:
    build_beforehand(tmp_path, recipe)
    monkeypatch.setenv("PATH", "/nonexistent")
    key = await qemu_world.templates.build(qemu_world.uri, "debian", recipe, cache=tmp_path, memory=256, vcpus=1)
    template = qemu_world.store.require(key)
    config = template.config
    assert (template.klass, config.revision, config.initial_memory_kib) == (DomainClass.TEMPLATE, 1, 256 * 1024)
    assert {v.role: bool(v.digest) for v in config.volumes} == {Role.KERNEL: True, Role.INITRD: True, Role.ROOT: True}
    assert Path(config.kernel).read_bytes() == b"kernel"
    assert (config.gui_port, dict(config.features).get("gui")) == ((True, "1") if has_windows else (False, None))
    assert dict(config.features)["suite"] == recipe.suite
    # It keeps what it has written: nobody else is to write to its private volume.
    assert "qubes_manager.private" not in config.kernelopts
    await qemu_world.removal.remove(key)


async def test_another_recipe_is_not_in_the_cache_and_a_build_that_fails_leaves_none(
    qemu_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_beforehand(tmp_path / "cache", PLAIN)
    monkeypatch.setenv("PATH", "/nonexistent")
    kept = list((tmp_path / "cache").iterdir())
    other = TemplateRecipe("trixie", packages=("vim",), windows=False)
    with pytest.raises(NotFound, match="mmdebstrap is not installed"):
        await qemu_world.templates.build(qemu_world.uri, "debian", other, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == kept


async def test_the_tools_are_not_asked_when_the_name_or_the_recipe_cannot_be_used(
    driver_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    world = await driver_world([NewDomain("own", DomainConfig())])
    build, uri = world.templates.build, world.uri
    with pytest.raises(BadInput, match="name: 'a b' cannot be used"):
        await build(uri, "a b", PLAIN)
    with pytest.raises(Refused, match="there is a domain “own” already"):
        await build(uri, "own", PLAIN)
    with pytest.raises(BadInput, match="suite: 'sid' cannot be used"):
        await build(uri, "debian", TemplateRecipe("sid"))
