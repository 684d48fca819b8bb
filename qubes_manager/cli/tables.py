"""Tables on a terminal."""

import sys
from collections.abc import Sequence

from qubes_manager.cli.output import encodable
from qubes_manager.core.text import one_cell
from qubes_manager.services.domains.listing import align


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their heads, in columns that stand below each other on this terminal too."""
    encoding = sys.stdout.encoding if sys.stdout else None
    table = [[encodable(one_cell(cell), encoding) for cell in row] for row in (head, *rows)]
    print(align(table[0], table[1:]))
