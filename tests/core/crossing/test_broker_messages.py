"""Messages of the broker's socket: what is written is read again, and nothing else is."""

import json
import typing

import pytest

from qubes_manager.core.crossing import broker_messages
from qubes_manager.core.crossing.broker_messages import (
    MAX_LINE,
    Answer,
    CancelTransfer,
    News,
    OfferScreen,
    Request,
    TransferPhase,
    TransferStatus,
    parse_reply,
    parse_request,
)
from qubes_manager.core.crossing.clipboard import Kind
from qubes_manager.core.crossing.clipboard_messages import (
    ClipboardSaid,
    ClipboardStatus,
    ClipboardText,
    CopyClipboard,
    GiveText,
    PasteClipboard,
    PutClipboard,
    ReadClipboard,
    TakeClipboard,
    WipeClipboard,
)
from qubes_manager.core.crossing.copying import Arrived
from qubes_manager.core.crossing.file_messages import Clash
from qubes_manager.core.crossing.file_requests import (
    AwaitCopy,
    CopyBegun,
    CopyFiles,
    CopyReport,
    FileList,
    FilesArrived,
    ListFiles,
    OpenFiles,
    file_list,
)
from qubes_manager.core.crossing.listing import Entry, FileKind, Listing
from qubes_manager.core.crossing.remarks import Remarks
from qubes_manager.core.json_lines import BadMessage
from qubes_manager.core.service_messages import Done, Failed, Follow, Notice

STATUS = TransferStatus(3, "work", "vault", "u", "", "qubes.Filecopy", "a.txt", TransferPhase.MOVING, "", 5, 10, 2)
UUID = "11111111-1111-4111-8111-111111111111"
FILES: list[Answer | News] = [
    FileList("/home/user", 5, (Entry("two\nlines\udcff", FileKind.FILE, 3, 7), Entry("b", FileKind.FOLDER)), True),
    CopyBegun(3),
    FilesArrived("work", "/home/you/QubesIncoming/work", 2, 10, (Arrived("a\nb", 3, "00" * 32),)),
    CopyReport("/home/you/QubesIncoming/work", 2, 10, True, ("no",), (Arrived("a\nb", 3, "00" * 32),)),
]
REQUESTS: list[Request] = [
    Follow(),
    OfferScreen(":0", "", "/home/you/.Xauthority", "unix:path=/x", "/r"),
    CancelTransfer(3),
    CopyClipboard(UUID, 12_345),
    PasteClipboard(UUID, 12_345, 1500),
    PutClipboard.holding("größe\n"),
    GiveText.holding(UUID, "größe\n"),
    TakeClipboard(),
    WipeClipboard(),
    ReadClipboard(),
    ListFiles(UUID, "/home/user/two\nlines\udcff"),
    CopyFiles("", UUID, ("/a", "/two\nlines\udcff"), True, Clash.SKIP, True),
    CopyFiles(UUID, "", ("/a",)),
    AwaitCopy(3),
    OpenFiles(UUID, ("/a", "/two\nlines"), True),
    OpenFiles("", ("/a",), False),
]
REPLIES: list[Answer | News] = [
    Done(),
    Failed("no"),
    STATUS,
    Notice("oh"),
    ClipboardSaid("Copied 5 bytes."),
    ClipboardText.holding("work", b"text"),
    ClipboardStatus("work", UUID, Kind.IMAGE, 5, 1000),
    *FILES,
]


@pytest.mark.parametrize("message", REQUESTS, ids=lambda message: message.TYPE)
def test_a_request_is_read_as_it_was_meant(message: Request) -> None:
    assert parse_request(message.to_json().encode()) == message


@pytest.mark.parametrize("message", REPLIES, ids=lambda message: message.TYPE)
def test_what_the_broker_says_is_read_as_it_was_meant(message: Answer | News) -> None:
    assert parse_reply(message.to_json().encode()) == message


def test_each_kind_has_its_place_and_a_name_of_its_own() -> None:
    for union, parse in ((Request, parse_request), (Answer | News, parse_reply)):
        kinds = typing.get_args(union)
        assert len({kind.TYPE for kind in kinds}) == len(kinds)
        for kind in kinds:
            # Of one that is known a field is missing, if anything.
            try:
                parse(f'{{"type": "{kind.TYPE}"}}'.encode())
            except BadMessage as error:
                assert "is missing" in str(error), kind


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"type": "dance"}', "unknown message 'dance'"),
        (b'{"type": "cancel", "transfer": -1}', "transfer"),
        (b'{"type": "cancel", "transfer": "' + b"x" * MAX_LINE + b'"}', "line of"),
    ],
    ids=range(3),
)
def test_what_no_client_may_say_is_refused(line: bytes, fault: str) -> None:
    with pytest.raises(BadMessage, match=fault):
        parse_request(line)


def test_a_line_may_be_long_here() -> None:
    assert len(broker_messages.parse_reply(b'{"type": "failed", "reason": "' + b"x" * 100_000 + b'"}').to_json()) < 2000


def test_a_text_crosses_whole_and_is_in_no_error_nor_picture_of_its_message() -> None:
    secret = "pass\x00wort “ü”" + "\n" * 255_980
    message = parse_request(PutClipboard.holding(secret).to_json().encode())
    assert isinstance(message, PutClipboard)
    assert message.data.decode() == secret
    assert "text" not in repr(message)
    for text in ("pass wort", "x" * 400_000):
        with pytest.raises(BadMessage) as caught:
            _data(parse_request(json.dumps({"type": "clipboard-put", "text": text}).encode()))
        assert "pass" not in str(caught.value) and "xx" not in str(caught.value)


def _data(message: Request) -> bytes:
    assert isinstance(message, PutClipboard)
    return message.data


def test_a_folder_of_any_size_goes_into_a_line() -> None:
    entries = tuple(Entry("\udcff" * 250 + str(number), FileKind.FILE, 1 << 50, 1 << 40) for number in range(9000))
    answer = file_list(Listing("/\udcff" * 2048, 1 << 50, entries, False))
    assert parse_reply(answer.to_json().encode()) == answer
    assert answer.is_cut


@pytest.mark.parametrize("paths", [[], ["a"], ["/a", "../b"], ["/a\0b"], ["/" * 5000], ["/a"] * 5001, [7], "/a"])
def test_paths_that_are_not_whole_ones_are_refused(paths: object) -> None:
    line = json.dumps({"type": "copy-files", "source": "", "target": "", "paths": paths, "move": False})
    with pytest.raises(BadMessage, match="paths"):
        parse_request(line.encode())


def test_a_report_of_many_remarks_says_how_many_there_are() -> None:
    report = CopyReport.telling("/x", 0, 0, True, Remarks(f"no {number}" for number in range(1000)))
    assert (len(report.remarks), report.remarks[-1]) == (200, "and 801 more of the kind")
    assert parse_reply(report.to_json().encode()) == report


def test_files_with_the_longest_names_that_a_guest_can_give_go_into_one_message() -> None:
    files = [Arrived("\u0436" * 2000 + str(number), 1, "0" * 64) for number in range(300)]
    report = CopyReport.telling("/x", 300, 300, False, Remarks("\u0436" * 1000 for _number in range(1000)), files)
    assert 0 < len(report.files) < 200
    assert len(report.to_json()) < MAX_LINE
    news = FilesArrived.of_report("work", report)
    assert len(news.to_json()) < MAX_LINE
