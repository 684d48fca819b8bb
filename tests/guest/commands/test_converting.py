"""Clean files of untrusted ones: drawn by the real service, made by the real command under the system's Python."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from qubes_manager.backend.host.host_facts import SYSTEM_PYTHON
from qubes_manager.core.crossing.file_messages import Failure, Page, Pages

ROOT = Path(__file__).parents[3]
# The command needs cairo, which the system's Python has; the service Pillow, which this one has.
CODE = """
import json, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from qubes_manager.guest.commands import qvm_convert_img, qvm_convert_pdf
from tests.guest.domains import Domain
class Disposable(Domain):
    def start(self, module, arguments=(), python=""):
        return super().start(module, arguments, sys.argv[3])
    answer = None
disposable = Disposable(Path(sys.argv[2]))
if sys.argv[4] != "-":
    answer = bytes.fromhex(sys.argv[4])
    said = []
    disposable.on_read = lambda data: b"" if said or not data else said.append(1) or answer
main = {"pdf": qvm_convert_pdf, "img": qvm_convert_img}[sys.argv[5]].main
code = main(sys.argv[6:], disposable.call)
print(json.dumps([[asked.service, asked.target, asked.size] for asked in disposable.asked]))
sys.exit(code)
"""


class Here:
    """The domain whose files are made clean, and a disposable."""

    def __init__(self, folder: Path) -> None:
        self.home, self.disposable = folder / "home", folder / "disposable"
        self.home.mkdir()
        self.disposable.mkdir()

    def convert(self, kind: str, *names: str, answer: bytes | None = None) -> "subprocess.CompletedProcess[str]":
        """Run the command; *answer* stands for all that the disposable says."""
        said = "-" if answer is None else answer.hex()
        words = [*map(str, (SYSTEM_PYTHON, "-c", CODE, ROOT, self.disposable, sys.executable)), said, kind, *names]
        environment = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        return subprocess.run(words, cwd=self.home, env=environment, capture_output=True, text=True, timeout=120)

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file())


@pytest.fixture
def here(tmp_path: Path) -> Here:
    try:
        subprocess.run([SYSTEM_PYTHON, "-c", "import cairo"], check=True, capture_output=True)
        subprocess.run(["pdfinfo", "-v"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the system has no python3-cairo or no poppler-utils")
    return Here(tmp_path)


def _draw(path: Path, side: int = 40) -> Image.Image:
    picture = Image.new("RGB", (side, side // 2), "white")
    picture.paste((200, 30, 10), (0, 0, side // 2, side // 4))
    picture.save(path)
    return picture


def test_a_pdf_becomes_one_of_plain_pixels(here: Here) -> None:
    pages = [Image.new("RGB", (400, 600), colour) for colour in ("red", "blue")]
    pages[0].save(here.home / "a b.pdf", save_all=True, append_images=pages[1:], resolution=200.0)
    size = (here.home / "a b.pdf").stat().st_size
    done = here.convert("pdf", "a b.pdf")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["qubes.PdfConvert", "@dispvm", size]]
    assert here.names() == ["QubesUntrustedPDFs/a b.pdf", "a b.trusted.pdf"]
    told = subprocess.run(["pdfinfo", here.home / "a b.trusted.pdf"], check=True, capture_output=True, text=True).stdout
    assert "Pages:           2" in told
    assert "144 x 216 pts" in told
    drawn = here.home / "drawn"
    subprocess.run(["pdftoppm", "-r", "50", "-singlefile", "-f", "2", here.home / "a b.trusted.pdf", drawn], check=True)
    with Image.open(f"{drawn}.ppm") as page:
        # Pillow’s PDF has it as JPEG.
        red, green, blue = page.convert("RGB").tobytes()[-3:]
    assert max(red, green) < 5 < 250 < blue


def test_a_picture_becomes_one_of_plain_pixels(here: Here) -> None:
    picture = _draw(here.home / "a.bmp")
    done = here.convert("img", "a.bmp")
    assert done.returncode == 0, done.stderr
    assert here.names() == ["QubesUntrustedImages/a.bmp", "a.trusted.png"]
    with Image.open(here.home / "a.trusted.png") as clean:
        assert clean.convert("RGB").tobytes() == picture.tobytes()


def test_several_are_made_clean_and_those_that_cannot_be_stay(here: Here) -> None:
    _draw(here.home / "a.png")
    (here.home / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    done = here.convert("img", "b.png", "missing.png", "a.png")
    assert done.returncode == 1
    assert here.names() == ["QubesUntrustedImages/a.png", "a.trusted.png", "b.png"]
    assert "neither a PDF file nor a picture" in done.stderr
    assert "“missing.png” is no file" in done.stderr


def _said(*messages: Pages | Page | Failure) -> bytes:
    return b"".join(message.to_json().encode() + b"\n" for message in messages)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\n",
        _said(Pages(0)),
        _said(Pages(2)) + 2 * (_said(Page(1, 1)) + b"rgb"),
        _said(Pages(1)),
        _said(Pages(1), Page(2, 2)) + b"short",
        _said(Pages(1)) + b'{"type": "page", "width": 20000, "height": 20000}\n',
        _said(Pages(1)) + b'{"type": "page", "width": -1, "height": 1}\n',
        _said(Failure("\x1b[31mno")),
    ],
    ids=range(9),
)
def test_a_disposable_that_was_taken_over_gets_nothing_done(answer: bytes, here: Here) -> None:
    _draw(here.home / "a.png")
    done = here.convert("img", "a.png", answer=answer)
    assert done.returncode in (1, 125)
    assert here.names() == ["a.png"]
    assert "Traceback" not in done.stderr
