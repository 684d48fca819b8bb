"""How figures are printed."""


def say(group: str, what: str, figure: float, unit: str, note: str = "") -> None:
    """Print one figure."""
    print(f"{group:>14}  {what:<46} {figure:>9.1f} {unit:<10} {note}", flush=True)
