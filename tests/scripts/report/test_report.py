"""The report: what the PDF holds, and what stops its build."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from pypdf import PageObject, PdfReader

from scripts.report.build import Facts, ReportFailed, build
from scripts.report.facts import collect

ROOT: Final = Path(__file__).parents[3]
COMMITTED: Final = ROOT / "docs/informe/informe.pdf"
# What the text and the facts read.
READ: Final = (
    *("docs/informe", "docs/chaos", "docs/demo.svg", "bench/results"),
    *("deploy/compose/compose.yaml", "deploy/embedded/kafka.lock.toml", "deploy/embedded/postgres.py"),
    "deploy/image/Dockerfile",
)
SECTIONS: Final = (
    *(
        "Problema y solución",
        "Explicación de módulos de código",
        "Configuración de Kafka",
        "Respuestas a las preguntas",
    ),
    *(
        "Tecnologías complementarias",
        "El escenario y su ejecución",
        "Cómo repetir cada cifra",
        "Créditos",
        "Referencias",
    ),
)
QUESTIONS: Final = (
    *("Tolerancia a fallos", "Escalabilidad", "Rendimiento", "Demanda variable", "Integración de datos y esquemas"),
)
SMALL: Final = '#import "cifras.typ": *\n#show: con-cifras-leidas\n'


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> PdfReader:
    """Return the report as `./dev informe` builds it where a deployment has other partitions."""
    pdf = tmp_path_factory.mktemp("informe") / "informe.pdf"
    run_report("--output", str(pdf), KAFKA_PARTITIONS="mamochi.ventas=12")
    return PdfReader(pdf)


@pytest.fixture(scope="module")
def pages(built: PdfReader) -> list[str]:
    """Return the text of each page."""
    return [page.extract_text() for page in built.pages]


@pytest.fixture(scope="module")
def facts() -> Facts:
    return collect(ROOT)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of what the report is built from."""
    for name in READ:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    return tmp_path


def run_report(*arguments: str, **environment: str) -> None:
    command = [sys.executable, "-m", "scripts.report", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def compile_small(tree: Path, text: str, facts: Facts) -> str:
    """Build a document with the report's own rules; return its text."""
    source = tree / "docs/informe/prueba.typ"
    source.write_text(SMALL + text)
    pdf = tree / "prueba.pdf"
    build(source, pdf, facts=facts, root=tree)
    return text_of(PdfReader(pdf))


def text_of(pdf: PdfReader) -> str:
    return "\n".join(page.extract_text() for page in pdf.pages)


def titles(pdf: PdfReader) -> list[str]:
    """Return the titles of the sections and of the answers, from the PDF's bookmarks."""
    found: list[Any] = []
    for entry in pdf.outline:
        found += entry if isinstance(entry, list) else [entry]
    return [re.sub(r"^[\d.]+ ", "", one.title) for one in found if not isinstance(one, list)]


def fonts_of(page: PageObject) -> list[Any]:
    """Return the descriptor of each font of a page."""
    resources: Any = page["/Resources"]
    return [font.get_object()["/DescendantFonts"][0]["/FontDescriptor"] for font in resources["/Font"].values()]


@pytest.mark.slow
def test_report_has_its_sections(built: PdfReader) -> None:
    found = titles(built)
    assert [title for title in found if title in SECTIONS] == list(SECTIONS)
    assert [title for title in found if title in QUESTIONS] == list(QUESTIONS)
    assert 12 <= len(built.pages) <= 20


@pytest.mark.slow
def test_no_page_is_empty(pages: list[str]) -> None:
    assert all(len(page) > 400 for page in pages)


@pytest.mark.slow
def test_fonts_are_embedded(built: PdfReader) -> None:
    fonts = [font for page in built.pages for font in fonts_of(page)]
    assert len(fonts) > len(built.pages)
    assert all({"/FontFile", "/FontFile2", "/FontFile3"} & font.keys() for font in fonts)


@pytest.mark.slow
def test_figures_are_numbered_throughout(pages: list[str]) -> None:
    text = "\n".join(pages)
    for kind, least in (("Figura", 5), ("Tabla", 15)):
        numbers = {int(number) for number in re.findall(rf"{kind}\s(\d+):", text)}
        assert numbers == set(range(1, len(numbers) + 1))
        assert len(numbers) >= least


@pytest.mark.slow
def test_partitions_are_those_that_ship(pages: list[str]) -> None:
    assert re.search(r"mamochi\.ventas\s+6\s", "\n".join(pages))


@pytest.mark.slow
def test_committed_report_is_current(pages: list[str]) -> None:
    committed = text_of(PdfReader(COMMITTED))
    assert committed == "\n".join(pages), "the text, the code or bench/results have changed: run ./dev informe"
    assert COMMITTED.stat().st_size < 2_000_000


def test_every_source_can_be_measured_again() -> None:
    files = (path.read_text() for path in (ROOT / "docs/informe").rglob("*.typ"))
    texts = re.sub(r"(?m)^\s*//.*$", "", "\n".join(files))  # without comments
    names = set(re.findall(r'#(?:medido|valor|veces|porcentaje|fuente|presentar|tabla-de|grafico)\(\s*"(\w+)"', texts))
    assert len(names) > 5
    assert not [name for name in names if not is_benchmark(name)]
    assert not [name for name in names if not (ROOT / f"bench/results/{name}.json").exists()]


def is_benchmark(name: str) -> bool:
    return (ROOT / f"bench/{name}.py").exists() or (ROOT / f"bench/{name}/__init__.py").exists()


@pytest.mark.parametrize(
    ("section", "added", "complaint"),
    [
        pytest.param("problema", "El sistema acepta 392 ventas por segundo.", "«392»", id="typed number"),
        pytest.param("kafka", "Vea la @inexistente.", "inexistente", id="reference"),
        pytest.param(
            "preguntas", '#import "../datos.typ": *\n#dia-de("nunca-medido")', "nunca-medido.json", id="result"
        ),
        pytest.param("preguntas", '#import "../datos.typ": *\n#medido("sink", "nada")', "«nada»", id="figure"),
        pytest.param("preguntas", '#image("/docs/nada.svg")', "nada.svg", id="picture"),
    ],
)
@pytest.mark.slow
def test_build_stops_and_names_it(tree: Path, facts: Facts, section: str, added: str, complaint: str) -> None:
    file = tree / f"docs/informe/secciones/{section}.typ"
    file.write_text(f"{file.read_text()}\n{added}\n")
    with pytest.raises(ReportFailed, match=re.escape(complaint)):
        build(tree / "docs/informe/informe.typ", tree / "informe.pdf", facts=facts, root=tree)


@pytest.mark.parametrize(
    "text",
    [
        *("Son 42.", "Un 3,5 % más.", '#"77 ms"', "#str(12)", "= Los 5 brokers", "#table([7])", "#strong[un 9]", "v2"),
        "#figure([x], caption: [hasta 8])",
    ],
)
def test_typed_digits_are_refused(tree: Path, facts: Facts, text: str) -> None:
    with pytest.raises(ReportFailed, match="número escrito a mano en la página 1"):
        compile_small(tree, text, facts)


@pytest.mark.parametrize(
    "text",
    [
        *("`acks=all` con `KAFKA_PARTITIONS=12`", "la ADR 20, SHA-512, el p99 y CloudEvents 1.0", "= Uno\n== Dos"),
        *("#cifra(en-chileno(12.5))", "#figure([x], caption: [uno]) <x>\nVea @x.", "+ primero\n+ segundo"),
    ],
)
def test_names_and_read_figures_have_digits(tree: Path, facts: Facts, text: str) -> None:
    assert re.search(r"\d", compile_small(tree, text, facts))


def test_numbers_are_written_as_in_chile(tree: Path, facts: Facts) -> None:
    numbers = {
        12345.6: "12.346",
        1234567: "1.234.567",
        43.21: "43,2",
        2.5: "2,50",
        0.086: "0,09",
        7: "7",
        -1.5: "−1,50",
    }
    checks = "".join(f'#assert.eq(en-chileno({number}), "{text}")\n' for number, text in numbers.items())
    compile_small(tree, f"{checks}#cifra(en-chileno(0.0, decimales: 1))", facts)


def test_new_result_needs_one_call(tree: Path, facts: Facts) -> None:
    result = json.loads((tree / "bench/results/api.json").read_text())
    result |= {"rounds": {"calm": [1234.0, 1236.0], "busy": [7.5, 9.5]}, "medians": {"calm": 1235.0, "busy": 8.5}}
    (tree / "bench/results/carga.json").write_text(json.dumps(result))
    shutil.copy(tree / "bench/results/api.svg", tree / "bench/results/carga.svg")
    call = '#presentar("carga", [Según la carga.], unidad: [ms], nombres: ("calm": [en calma]))'
    text = compile_small(tree, f'#import "tablas.typ": presentar\n{call}', facts)
    for expected in ("en calma", "busy", "1.235", "8,50", "1.234 a 1.236"):
        assert expected in text


def change_costo(tree: Path, *, cost: float, largest: str) -> None:
    """Change the figures of the highest rate: CPU, and its largest part."""
    file = tree / "bench/results/costo.json"
    result = json.loads(file.read_text())
    names = "\n".join(result["medians"])
    rates = sorted({int(rate) for rate in re.findall(r"(?m)^CPU per sale at (\d+)/s$", names)})
    for rate in rates:
        result["medians"] |= {f"CPU per sale at {rate}/s": 50.0}
    highest = f"at {rates[-1]}/s"
    result["medians"] |= {f"CPU per sale {highest}": cost}
    result["also"] |= {f"CPU per sale {highest}, {largest}": 80.0}
    file.write_text(json.dumps(result))


def change_carga(tree: Path, *, wait: float, knee: float) -> None:
    """Change the knee, and the wait for the row (ms) at every rate."""
    file = tree / "bench/results/carga.json"
    result = json.loads(file.read_text())
    for point in result["points"]:
        point |= {"answer, p50": 1_000.0, "row, p50": wait}
    result["also"] |= {"knee, sales per second": knee}
    file.write_text(json.dumps(result))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"cost": 1.0, "largest": "web", "wait": 10.0, "knee": 100.0},
            (
                "El costo baja con la carga",
                "gasta es la web",
                "la cola está en la respuesta HTTP",
                "El codo está en 100",
            ),
        ),
        (
            {"cost": 99.0, "largest": "postgres", "wait": 9e4, "knee": 0.0},
            ("El costo no bajó", "gasta es PostgreSQL", "la cola está en el tópico", "Ningún escalón se sostuvo"),
        ),
        (
            {"cost": 1.0, "largest": "web", "wait": 10.0, "knee": 1e6},
            ("Todos los escalones se sostuvieron", "Al subir el ritmo crece la espera"),
        ),
    ],
)
@pytest.mark.slow
def test_words_follow_the_figures(tree: Path, facts: Facts, changes: dict[str, Any], expected: tuple[str, ...]) -> None:
    change_costo(tree, cost=changes["cost"], largest=changes["largest"])
    change_carga(tree, wait=changes["wait"], knee=changes["knee"])
    questions = "".join(f'#include "secciones/pregunta-{name}.typ"\n' for name in ("escala", "rendimiento"))
    text = re.sub(r"\s+", " ", compile_small(tree, questions, facts))
    assert not [words for words in expected if words not in text]


def test_empty_data_are_lines_to_fill_in(tree: Path, facts: Facts) -> None:
    data = tree / "docs/informe/datos.toml"
    data.write_text(data.read_text().replace('integrantes = ["", ""]', 'integrantes = ["Rosa Ñáñez", "José Muñoz 2"]'))
    build(tree / "docs/informe/informe.typ", tree / "informe.pdf", facts=facts, root=tree)
    cover = PdfReader(tree / "informe.pdf").pages[0].extract_text()
    assert "Rosa Ñáñez" in cover
    assert "José Muñoz 2" in cover
    assert "Fecha" in cover
