"""The clipboard between domains."""

import pytest

from qubes_manager.core.errors import Refused
from qubes_manager.services.crossing.clipboard import InterDomainClipboard


def test_the_clipboard_gives_its_text_once_and_never_back() -> None:
    clipboard = InterDomainClipboard(max_size=10)
    seen: list[object] = []
    clipboard.changed.connect(seen.append)
    assert clipboard.put("dom0", "größe").size == 7
    with pytest.raises(Refused, match="came from “dom0” itself"):
        clipboard.take("dom0")
    assert clipboard.take("work") == "größe"
    with pytest.raises(Refused, match="is empty"):
        clipboard.take("personal")
    with pytest.raises(Refused, match="11 characters, and the inter-domain clipboard takes 10"):
        clipboard.put("dom0", "x" * 11)
    with pytest.raises(Refused, match="nothing to copy"):
        clipboard.put("dom0", "")
    assert len(seen) == 2
