"""The final state: rows and e-mails, as they are once everything has arrived."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg
from psycopg.rows import dict_row

Amounts = dict[str, int]  # by ingredient, in its unit
WEEKLY: Final = "Tu semana en MAMOCHI"


@dataclass(frozen=True)
class Product:
    """What one unit of a product costs the customer and the maestro (CLP), and takes."""

    price: int
    cost: int
    recipe: Amounts


@dataclass(frozen=True)
class Maestro:
    """A maestro; `approved`: seconds since 1970, by the clock of the process that approved."""

    id: str
    email: str
    rut: str
    approved: float


@dataclass(frozen=True)
class Enrolment:
    id: str
    email: str
    state: str


@dataclass(frozen=True)
class Sale:
    """A row of the ledger; `week` is the Monday of the week that counts the sale."""

    maestro: str
    id: str
    product: str
    quantity: int
    price: int
    cost: int
    voided: bool
    week: str


@dataclass(frozen=True)
class Line:
    """A line of a cart's ledger.

    `position`: lines of one cart have ascending ones. `cause`: the id of the sale, notice or
    enrolment. `at`: its own time, in seconds since 1970.
    """

    position: int
    maestro: str
    kind: str
    amounts: Amounts
    cause: str
    at: float


@dataclass(frozen=True)
class Held:
    """What a cart holds of an ingredient."""

    maestro: str
    ingredient: str
    amount: int


@dataclass(frozen=True)
class Notice:
    """A notice of one ingredient; an empty one means everything. `closed`: seconds since 1970."""

    id: str
    maestro: str
    ingredient: str
    origin: str
    state: str
    closed: float | None


@dataclass(frozen=True)
class Report:
    """A week's sums of a maestro, in CLP."""

    week: str
    maestro: str
    sales: int
    units: int
    income: int
    earnings: int


@dataclass(frozen=True)
class Mail:
    """A weekly e-mail that arrived, with its numbers; one without sales has none."""

    to: str
    message_id: str
    sales: int
    units: int
    income: int
    earnings: int


@dataclass(frozen=True)
class FinalState:
    """Everything that the checker compares with the history.

    `boundary`: the moment, in seconds since 1970, up to which the run has closed the week, so that
    reports and e-mails must be there; None if the week is open.
    """

    boundary: float | None
    catalogue: dict[str, Product]
    capacities: Amounts
    maestros: list[Maestro]
    enrolments: list[Enrolment]
    sales: list[Sale]
    lines: list[Line]
    held: list[Held]
    notices: list[Notice]
    reports: list[Report]
    mails: list[Mail]


_MAESTROS: Final = """
    SELECT id::text, email, rut, extract(epoch FROM aprobado_en)::float8 AS approved
    FROM inscripciones_maestro ORDER BY id"""
_ENROLMENTS: Final = "SELECT id::text, email, estado AS state FROM inscripciones_inscripcion ORDER BY id"
_SALES: Final = """
    SELECT maestro_id::text AS maestro, venta_id::text AS id, producto AS product, cantidad AS quantity,
        precio_unitario AS price, costo_unitario AS cost, anulada_en IS NOT NULL AS voided,
        semana_contable::text AS week
    FROM ventas_venta ORDER BY maestro_id, vendida_en, id"""
_LINES: Final = """
    SELECT id AS position, maestro_id::text AS maestro, tipo AS kind, insumos AS amounts,
        coalesce(referencia::text, '') AS cause, extract(epoch FROM ocurrido_en)::float8 AS at
    FROM stock_movimiento ORDER BY id"""
_HELD: Final = """
    SELECT maestro_id::text AS maestro, insumo AS ingredient, cantidad AS amount
    FROM stock_existencia ORDER BY maestro_id, insumo"""
_NOTICES: Final = """
    SELECT aviso_id::text AS id, maestro_id::text AS maestro, insumo AS ingredient, origen AS origin,
        estado AS state, extract(epoch FROM cerrado_en)::float8 AS closed
    FROM stock_aviso ORDER BY id"""
_REPORTS: Final = """
    SELECT semana_id::text AS week, maestro_id::text AS maestro, cantidad_ventas AS sales, unidades AS units,
        ingresos AS income, ganancias AS earnings
    FROM ventas_reportesemanal ORDER BY semana_id, maestro_id"""
_RECIPES: Final = """
    SELECT product.codigo AS product, product.precio AS price, line.insumo_id AS ingredient,
        line.cantidad AS amount, ingredient.costo AS each
    FROM ventas_producto product JOIN ventas_receta line ON line.producto_id = product.codigo
    JOIN ventas_insumo ingredient ON ingredient.codigo = line.insumo_id ORDER BY 1, 3"""
_CAPACITIES: Final = "SELECT codigo AS ingredient, capacidad AS amount FROM stock_insumo ORDER BY 1"


def dump(database: str, mailbox: Path, path: Path, *, boundary: float | None) -> None:
    """Read the final state once, from PostgreSQL and the folder of e-mails, and write it down."""
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as connection:

        def rows(sql: str) -> list[dict[str, Any]]:
            return connection.execute(sql).fetchall()

        content = {
            "boundary": boundary,
            "catalogue": {code: asdict(product) for code, product in catalogue_of(rows(_RECIPES)).items()},
            "capacities": {row["ingredient"]: row["amount"] for row in rows(_CAPACITIES)},
            "maestros": rows(_MAESTROS),
            "enrolments": rows(_ENROLMENTS),
            "sales": rows(_SALES),
            "lines": rows(_LINES),
            "held": rows(_HELD),
            "notices": rows(_NOTICES),
            "reports": rows(_REPORTS),
            "mails": [asdict(mail) for mail in weekly_mails(mailbox)],
        }
    path.write_text(json.dumps(content, ensure_ascii=False))


def catalogue_of(recipes: list[dict[str, Any]]) -> dict[str, Product]:
    """Return the products; a unit's cost is rounded once, half up, to whole CLP."""
    costs: dict[str, Decimal] = {}
    prices: dict[str, int] = {}
    amounts: dict[str, Amounts] = {}
    for row in recipes:
        code = row["product"]
        prices[code] = row["price"]
        costs[code] = costs.get(code, Decimal(0)) + row["amount"] * row["each"]
        amounts.setdefault(code, {})[row["ingredient"]] = row["amount"]
    return {
        code: Product(prices[code], int(costs[code].quantize(Decimal(1), ROUND_HALF_UP)), amounts[code])
        for code in prices
    }


def weekly_mails(mailbox: Path) -> Iterator[Mail]:
    """Yield the weekly e-mails that arrived, in the order of their arrival."""
    for path in sorted(mailbox.glob("*.eml")):
        message = message_from_bytes(path.read_bytes(), policy=policy.default)
        if str(message["subject"]) == WEEKLY:
            text = _text_of(message)
            numbers = [_number(label, text) for label in ("Ventas", "Unidades", "Ingresos", "Ganancias")]
            yield Mail(str(message["to"]), str(message["message-id"]), *numbers)


def _text_of(message: EmailMessage) -> str:
    part = message.get_body(preferencelist=("plain",))
    return str(part.get_content()) if part is not None else ""


def _number(label: str, text: str) -> int:
    """Return the number behind a label at the beginning of a line; 0 without one."""
    found = re.search(rf"^{label}:\s+(-?)\$?([\d.]+)\s*$", text, re.MULTILINE)
    return int(found[1] + found[2].replace(".", "")) if found else 0


T = TypeVar("T")


def read(path: Path) -> FinalState:
    """Return the state that `dump` wrote."""
    content = json.loads(path.read_text())

    def rows(name: str, kind: type[T]) -> list[T]:
        return [kind(**row) for row in content[name]]

    return FinalState(
        boundary=content["boundary"],
        catalogue={code: Product(**product) for code, product in content["catalogue"].items()},
        capacities=content["capacities"],
        maestros=rows("maestros", Maestro),
        enrolments=rows("enrolments", Enrolment),
        sales=rows("sales", Sale),
        lines=rows("lines", Line),
        held=rows("held", Held),
        notices=rows("notices", Notice),
        reports=rows("reports", Report),
        mails=rows("mails", Mail),
    )
