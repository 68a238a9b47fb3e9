"""The engine knows no product, no guild and no Spanish, except in its Spanish catalogue."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ENGINE: Final = Path(__file__).parent.parent.parent / "kafka_bridge"
TEXTS: Final = {".py", ".html", ".js", ".css", ".md", ".txt"}
# Names of the product, of the guild and of its things.
PRODUCT: Final = re.compile(
    r"mamochi|maestro|motehuesillero|huesillo|gremio|\bventas?\b|\brut\b|inscripci|\bmmc_", re.IGNORECASE
)
# Letters and words that English text does not have.
SPANISH: Final = re.compile(
    r"[áéíóúñ¿¡«»]|\b(el|los|las|una|unos|que|por|para|con|según|sus|este|esta|esto|hay|más|pero|como|"
    r"cuando|donde|desde|hasta|ningún|evento|eventos|tópico|correo|consumidor|mensaje|pendiente|estado|datos)\b",
    re.IGNORECASE,
)


def test_names_no_product() -> None:
    assert list(findings(PRODUCT)) == []


def test_is_written_in_english() -> None:
    assert list(findings(SPANISH)) == []


def findings(pattern: re.Pattern[str]) -> Iterator[str]:
    """Yield the lines of the engine that the pattern finds, outside of its translations."""
    for path in sorted(ENGINE.rglob("*")):
        inside = path.relative_to(ENGINE)
        if path.suffix in TEXTS and inside.parts[0] != "locale":
            for number, line in enumerate(path.read_text().splitlines(), start=1):
                if pattern.search(line):
                    yield f"{inside}:{number}: {line.strip()[:100]}"
