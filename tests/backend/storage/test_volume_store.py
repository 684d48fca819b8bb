"""The shape of volumes that libvirt is asked to make."""

from lxml import etree

from qubes_manager.backend.storage.volume_store import volume_xml


def canonical(xml: str) -> str:
    text: str = etree.canonicalize(xml, strip_text=True)
    return text


def test_an_empty_volume() -> None:
    assert canonical(volume_xml("a & b", 1 << 30, "raw")) == canonical(
        '<volume><name>a &amp; b</name><capacity unit="bytes">1073741824</capacity>'
        '<allocation unit="bytes">0</allocation><target><format type="raw"/></target></volume>'
    )


def test_a_volume_above_another_and_encrypted() -> None:
    xml = volume_xml("top", 0, "qcow2", "/base.img", "raw", secret="2222")
    assert canonical(xml) == canonical(
        '<volume><name>top</name><capacity unit="bytes">0</capacity><allocation unit="bytes">0</allocation>'
        '<target><format type="qcow2"/><compat>1.1</compat>'
        '<encryption format="luks"><secret type="passphrase" uuid="2222"/></encryption></target>'
        '<backingStore><path>/base.img</path><format type="raw"/></backingStore></volume>'
    )
