"""The one microphone, and who hears."""

import pytest

from qubes_manager.core.devices.assignment import Assignment
from qubes_manager.core.devices.device import Device, require_one
from qubes_manager.core.devices.identity import DeviceClass, parse_device_name
from qubes_manager.core.devices.microphone import Microphone, Recorder, hearing, refuse_options
from qubes_manager.core.errors import BadInput


def test_it_is_called_as_in_qubes() -> None:
    device: Device = Microphone("Built-in\x1b[2J Audio")
    assert require_one([device], parse_device_name("dom0:mic"), DeviceClass.MIC) is device
    assert Assignment(DeviceClass.MIC, "mic", "*").fits(device)
    assert device.description == "microphone (“Built-in Audio”)"
    assert Microphone().description == "microphone (none plugged in)"


def test_who_is_muted_or_stands_still_does_not_hear() -> None:
    streams = [Recorder(1, "work"), Recorder(2, "play", muted=True), Recorder(3, "call", corked=True)]
    assert hearing(streams) == {"work"}
    assert hearing([*streams, Recorder(4, "play")]) == {"work", "play"}


def test_it_has_no_options() -> None:
    refuse_options([])
    with pytest.raises(BadInput, match="the microphone has no options"):
        refuse_options(["read-only"])
