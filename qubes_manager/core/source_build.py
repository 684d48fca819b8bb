"""What a Debian release lacks, and templates of it get built from its source."""

from dataclasses import dataclass

from qubes_manager.core.sizes import format_size


@dataclass(frozen=True, slots=True)
class SourceBuild:
    """A program of PyPI: its version, the SHA-256 of that source, and what builds it and what it needs then.

    *minutes* and *download* (bytes) are what it takes on a common machine with two processors.
    """

    program: str
    version: str
    digest: str
    tools: tuple[str, ...]
    libraries: tuple[str, ...]
    # It is compiled for one version of Python, the release's own.
    python: tuple[str, str]
    minutes: int
    download: int

    @property
    def title(self) -> str:
        """Program and version."""
        return f"{self.program} {self.version}"

    @property
    def depends(self) -> str:
        """What the package depends on, in its own words (Debian's policy, 7.1)."""
        first, no_more = self.python
        return ", ".join((f"python3 (>= {first})", f"python3 (<< {no_more})", *self.libraries))

    def describe(self, suite: str) -> str:
        """What is going to happen, and what it takes, for who is asked beforehand."""
        return (
            f"Debian’s {suite} has no {self.program}, which brings the windows of applications: {self.title} is built "
            f"from its source for it, in a system that is thrown away. That takes about {self.minutes} minutes and "
            f"{format_size(self.download)} more to download, once: what was built is kept for further templates."
        )


XPRA_FOR_TRIXIE = SourceBuild(
    program="xpra",
    version="6.5.5",
    digest="58cf04107d5682f202987fe5c0f7d8af1c6e183304a8bd0887a34f3b55fa1c81",
    tools=(
        "gcc",
        "libc6-dev",
        "pkg-config",
        "cython3",
        "python3-dev",
        "python3-pip",
        "python3-setuptools",
        "python3-wheel",
        "libglib2.0-dev",
        "liblz4-dev",
        "libx11-dev",
        "libxcomposite-dev",
        "libxcursor-dev",
        "libxdamage-dev",
        "libxext-dev",
        "libxfixes-dev",
        "libxi-dev",
        "libxkbfile-dev",
        "libxrandr-dev",
        "libxres-dev",
        "libxtst-dev",
    ),
    libraries=(
        "python3-gi",
        "python3-pil",
        "xvfb",
        "xauth",
        "libglib2.0-0t64",
        "liblz4-1",
        "libx11-6",
        "libxcomposite1",
        "libxcursor1",
        "libxdamage1",
        "libxext6",
        "libxfixes3",
        "libxi6",
        "libxkbfile1",
        "libxrandr2",
        "libxres1",
        "libxtst6",
    ),
    python=("3.13", "3.14"),
    minutes=3,
    download=120 << 20,
)
