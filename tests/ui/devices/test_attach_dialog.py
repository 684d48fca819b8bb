"""How a drive or an image is to be attached, and what is told of what does not go."""

from dataclasses import replace

import qasync

from qubes_manager.core.devices.block import DiskRequest
from qubes_manager.core.domain import DomainState
from qubes_manager.services.devices.kind import Offered
from qubes_manager.ui.devices.attach_dialog import AttachDialog
from tests.device_samples import BANK, HELD, ISO, STICK, VAULT, WORK
from tests.ui.conftest import run
from tests.ui.devices.conftest import Scene


def dialog_for(scene: Scene, *devices: object) -> AttachDialog:
    [entry] = scene.plug(*devices)  # type: ignore[arg-type]
    return AttachDialog(scene.parent, entry, scene.commands.domains_for(entry), WORK.key)


def test_the_dialog_knows_what_goes(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        await scene.has(WORK, replace(BANK, config=replace(BANK.config, devices_denied=("b******",))), VAULT)
        dialog = dialog_for(scene, replace(STICK, read_only=True))
        assert [dialog.domain.itemText(n) for n in range(dialog.domain.count())] == ["bank", "work", "vault (halted)"]
        assert dialog.ok.isEnabled() and dialog.read_only.isChecked() and not dialog.read_only.isEnabled()
        dialog.domain.setCurrentIndex(0)
        assert not dialog.ok.isEnabled(), "it is never to get drives"
        dialog.domain.setCurrentIndex(2)
        # What does not run has it at its next start, or not at all.
        assert dialog.persistent.isChecked() and not dialog.persistent.isEnabled() and dialog.ok.isEnabled()
        image = dialog_for(scene, replace(ISO, path="/x/a.qcow2"))
        assert image.form.isRowVisible(image.format) and image.request().image_format == "qcow2"
        image.format.setCurrentText("raw")
        assert image.request() == DiskRequest("/x/a.qcow2", False)
        held = dialog_for(scene, Offered(ISO, (HELD,)))
        assert not held.ok.isEnabled(), "another domain writes to it"
        held.read_only.setChecked(True)
        assert held.ok.isEnabled()
        assert VAULT.state is DomainState.HALTED

    run(loop, work())
