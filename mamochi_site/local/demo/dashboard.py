"""The dashboard on the terminal, in Spanish."""

from collections import Counter
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gremio.formats import pesos
from mamochi_site.local.demo.scene import Puesto, Scene

# From this size on, all panels fit side by side.
WIDE: Final = 110
TALL: Final = 28
PICTURE_WIDTH: Final = 132
PICTURE_HEIGHT: Final = 34
BAR: Final = 10
PRODUCTS: Final = ("chico", "mediano", "grande")
STATES: Final = {
    "por inscribirse": ("por inscribirse", "dim"),
    "recibida": ("recibida", "yellow"),
    "en_revision": ("en revisión", "yellow"),
    "aprobada": ("aprobada", "green"),
    "con token": ("aprobada, con token", "bold green"),
}


def draw(scene: Scene, width: int, height: int) -> RenderableType:
    """Return the screen for a terminal of this size; a small one shows only the most important."""
    return _wide(scene, height) if width >= WIDE and height >= TALL else _small(scene, height)


def save_picture(scene: Scene, path: Path) -> None:
    """Save the current screen as an SVG file."""
    console = Console(record=True, width=PICTURE_WIDTH, height=PICTURE_HEIGHT, file=StringIO(), force_terminal=True)
    console.print(draw(scene, PICTURE_WIDTH, PICTURE_HEIGHT))
    console.save_svg(str(path), title="./dev demo")


def _wide(scene: Scene, height: int) -> Layout:
    rows = len(scene.puestos) + 3
    screen = Layout()
    screen.split_column(
        Layout(_header(scene), size=3),
        Layout(name="people", size=rows),
        Layout(name="carts", size=rows),
        Layout(name="rest"),
    )
    screen["people"].split_row(Layout(_enrolments(scene), ratio=3), Layout(_sales(scene), ratio=2))
    screen["carts"].split_row(Layout(_stock(scene), ratio=3), Layout(_consumers(scene), ratio=2))
    lines = max(height - 3 - 2 * rows - 2, 1)
    screen["rest"].split_row(Layout(_log(scene, lines), ratio=3), Layout(_mails(scene, lines), ratio=2))
    return screen


def _small(scene: Scene, height: int) -> Layout:
    rows = len(scene.puestos) + 3
    screen = Layout()
    screen.split_column(
        Layout(_header(scene), size=3),
        Layout(_summary(scene), size=rows),
        Layout(_status(scene), size=1),
        Layout(_log(scene, max(height - rows - 6, 1))),
    )
    return screen


def _header(scene: Scene) -> Panel:
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column()
    line.add_column(ratio=1)
    line.add_column(justify="right")
    made = sum(len(puesto.sold) for puesto in scene.puestos)
    goal = scene.pace.sales * len(scene.puestos)
    line.add_row(
        Text(scene.phase, "bold"),
        ProgressBar(total=goal, completed=made, complete_style="dark_orange"),
        f"{made}/{goal} ventas · {clock(scene.elapsed)}",
    )
    return Panel(line, title="[bold]MAMOCHI · mote con huesillo en vivo", border_style="dark_orange")


def _enrolments(scene: Scene) -> Panel:
    table = _table("Vía", "Maestro", "Comuna", "Estado", "Aprobación")
    for puesto in sorted(scene.puestos, key=lambda puesto: not puesto.persona.paid):
        persona = puesto.persona
        lane = Text("★ paid", "bold magenta") if persona.paid else Text("normal", "dim")
        table.add_row(lane, persona.nombre, persona.comuna, _state(puesto), _seconds(puesto.approved_after))
    return Panel(table, title="Inscripciones", title_align="left")


def _sales(scene: Scene) -> Panel:
    table = _table("Maestro", "Ventas", "", *PRODUCTS)
    for puesto in scene.puestos:
        count = len(puesto.sold)
        sold = Counter(sale.producto for sale in puesto.sold)
        each = (str(sold[code]) for code in PRODUCTS)
        table.add_row(puesto.persona.apodo, f"{count:>3}", _bar(count, scene.pace.sales, "dark_orange"), *each)
    return Panel(table, title="Ventas aceptadas por la API", title_align="left")


def _stock(scene: Scene) -> Panel:
    codes = _ingredients(scene.puestos)
    table = _table("Carro", *codes, "Avisos", "Reposic.")
    for puesto in scene.puestos:
        levels = {row["insumo"]: row for row in puesto.stock}
        bars = [_level(levels[code]) if code in levels else Text("·", "dim") for code in codes]
        table.add_row(puesto.persona.apodo, *bars, str(puesto.avisos), str(puesto.reposiciones))
    return Panel(table, title="Stock de los carros", title_align="left")


def _consumers(scene: Scene) -> Panel:
    table = _table("Consumidor", "Aplicados", "Atraso")
    for name in sorted(scene.lag):
        behind = scene.lag[name]
        table.add_row(name, str(scene.applied[name]), Text(str(behind), "yellow" if behind else "green"))
    return Panel(table, title="Kafka: mensajes por consumidor", title_align="left")


def _mails(scene: Scene, lines: int) -> Panel:
    table = _table("Para", "Asunto", header=False)
    for to, subject in scene.mails[-lines:]:
        table.add_row(to.partition("@")[0], Text(subject, "cyan"))
    return Panel(table, title=f"Correos que llegaron: {len(scene.mails)}", title_align="left")


def _log(scene: Scene, lines: int) -> Panel:
    recent = list(scene.lines)[-lines:]
    text = Text("\n", no_wrap=True, overflow="ellipsis").join(
        Text.assemble((f"{clock(line.at)} ", "dim"), (line.text, line.style)) for line in recent
    )
    return Panel(text, title="Lo que acaba de pasar", title_align="left")


def _summary(scene: Scene) -> Panel:
    table = _table("Vía", "Maestro", "Estado", "Ventas", "Stock", "Repos.")
    for puesto in scene.puestos:
        lane = Text("★", "bold magenta") if puesto.persona.paid else Text("·", "dim")
        lowest = min(puesto.stock, key=lambda row: row["cantidad"] / row["capacidad"], default=None)
        level = _level(lowest) if lowest else Text("·", "dim")
        count = f"{len(puesto.sold)}/{scene.pace.sales}"
        table.add_row(lane, puesto.persona.apodo, _state(puesto), count, level, str(puesto.reposiciones))
    return Panel(table)


def _status(scene: Scene) -> Text:
    lags = " · ".join(f"{name} {behind}" for name, behind in sorted(scene.lag.items()))
    return Text(f" Correos: {len(scene.mails)}   Atraso: {lags}", no_wrap=True, overflow="ellipsis")


def _table(*columns: str, header: bool = True) -> Table:
    table = Table(box=None, show_header=header, expand=True, header_style="dim", padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    return table


def _ingredients(puestos: Iterable[Puesto]) -> list[str]:
    return sorted({row["insumo"] for puesto in puestos for row in puesto.stock})


def _state(puesto: Puesto) -> Text:
    return Text(*STATES.get(puesto.estado, (puesto.estado, "")))


def _level(row: dict[str, Any]) -> Text:
    """Return a bar that shows how full the cart is.

    It is red when the ingredient is out, yellow at 30 % or less, otherwise green.
    """
    share = row["cantidad"] / row["capacidad"]
    style = "green"
    if share <= 0:
        style = "red"
    elif share <= 0.3:
        style = "yellow"
    return _bar(row["cantidad"], row["capacidad"], style)


def _bar(value: int, most: int, style: str) -> Text:
    full = min(max(round(BAR * value / most), 0), BAR)
    return Text.assemble(("━" * full, style), ("─" * (BAR - full), "red" if style == "red" else "grey39"))


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s".replace(".", ",")


def clock(seconds: float) -> str:
    """Return minutes and seconds, such as `01:05`."""
    return f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"


def results(rows: Sequence[tuple[str, str, str, bool]]) -> Table:
    """Return the audit's table: check, expected, found; red where they differ."""
    table = Table(title="Auditoría", title_style="bold", header_style="dim")
    for column in ("", "Comprobación", "Se espera", "Se encontró"):
        table.add_column(column)
    for what, expected, found, ok in rows:
        table.add_row("✔" if ok else "✘", what, expected, found, style="green" if ok else "bold red")
    return table


def weekly_mails(letters: Sequence[tuple[str, str, int, int]]) -> RenderableType:
    """Show the text of the first weekly e-mail and a table of all.

    Each is a tuple: address, text, number of sales, earnings in CLP.
    """
    to, text, _, _ = letters[0]
    table = Table(title="Correos de la semana", title_style="bold", header_style="dim")
    table.add_column("Para")
    table.add_column("Ventas", justify="right")
    table.add_column("Ganancias", justify="right")
    for address, _, count, earned in letters:
        table.add_row(address, str(count), pesos(earned))
    return Group(
        Panel(text.strip(), title=f"Un correo: Tu semana en MAMOCHI → {to}", title_align="left", width=90), table
    )
