"""The report of a chaos run: a live screen, then recovery times, a plot, and the audit."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mamochi_site.local.demo.audit import Check
from tests.chaos.checker.history import NO_ANSWER, Operation
from tests.chaos.faults.plan import Fault
from tests.chaos.journal import Journal
from tests.chaos.pulse import KafkaPulse, RowsPulse
from tests.chaos.recovery.times import Recovery, spread
from tests.chaos.topics import TopicActs

OUTCOMES: Final = {"accepted": "tab:green", "refused, try again": "tab:orange", "no answer": "tab:red"}
LATEST: Final = 12


def recoveries(faults: Sequence[Fault], journal: Journal, kafka: KafkaPulse, rows: RowsPulse) -> list[Recovery]:
    """Return each fault with its costs, in order."""
    return [
        Recovery(
            fault.name,
            fault.target,
            fault.lasted,
            kafka.next_after(fault.began),
            next_accepted(journal, fault.began),
            rows.next_after(fault.began),
            {
                "kafka": kafka.next_after(fault.ends),
                "api": next_accepted(journal, fault.ends),
                "rows": rows.next_after(fault.ends),
            },
        )
        for fault in list(faults)
    ]


def next_accepted(journal: Journal, moment: float) -> float | None:
    """Return the seconds from `moment` until a later request was accepted, or None."""
    ends = [entry.asked + entry.took for entry in journal.entries if entry.accepted and entry.asked >= moment]
    return min(ends) - moment if ends else None


def picture(journal: Journal, found: Sequence[Recovery], phase: str, left: float) -> RenderableType:
    """Return the screen while faults happen."""
    statuses = "   ".join(f"{_name(status)} {times:,}" for status, times in sorted(journal.statuses.items()))
    head = Text.assemble((phase, "bold"), f"   {max(left, 0):.0f} s left\n", statuses)
    return Group(Panel(head, title="[bold]MAMOCHI under faults", border_style="red"), table(found[-LATEST:]))


def table(found: Sequence[Recovery]) -> Table:
    """Return a table of faults with their recovery times."""
    drawn = Table(title="Faults, and seconds from each to the next sign of life", title_justify="left")
    for column in ("fault", "of", "lasted", "Kafka acknowledges", "API accepts", "rows are written"):
        drawn.add_column(column, justify="left" if column in ("fault", "of") else "right")
    for one in found:
        drawn.add_row(one.fault, one.target, *map(_seconds, (one.lasted, one.kafka, one.api, one.rows)))
    return drawn


def by_fault(found: Sequence[Recovery]) -> Table:
    """Return a table with the distribution of each kind of fault."""
    drawn = Table(title="By kind of fault: median / 90th percentile / greatest seconds", title_justify="left")
    for column in ("fault", "times", "lasted", "Kafka acknowledges", "API accepts", "rows are written"):
        drawn.add_column(column, justify="left" if column == "fault" else "right")
    for name, times in sorted(Counter(one.fault for one in found).items()):
        same = [one for one in found if one.fault == name]
        columns = ([getattr(one, field) for one in same] for field in ("lasted", "kafka", "api", "rows"))
        drawn.add_row(
            name, str(times), *(spread([value for value in column if value is not None]) for column in columns)
        )
    return drawn


def changes(acts: TopicActs) -> Table:
    """Return a table of what happened to topics, and how long the consumers took to find it."""
    drawn = Table(title="Topics: seconds until consumed, without a topic, and until read again", title_justify="left")
    for column in ("act", "of", "partitions used", "requests held", "topic away", "found by all"):
        drawn.add_column(column, justify="left" if column in ("act", "of") else "right")
    for name, done in (("partitions added", acts.grown), ("topic made again", acts.made_again)):
        for one in done:
            used = "{} of {}".format(*one.messages) if one.away else ""
            drawn.add_row(name, one.topic, used, *map(_seconds, (one.held, one.away, one.found)))
    return drawn


def verdict(checks: Sequence[Check]) -> Table:
    """Return a table of the audit, red where a promise was broken."""
    drawn = Table(title="Audit", title_justify="left")
    for column in ("", "what", "expected", "found"):
        drawn.add_column(column)
    for check in checks:
        found = "the same" if check.ok else str(check.found)
        drawn.add_row(
            "✔" if check.ok else "✘", check.what, str(check.expected), found, style="green" if check.ok else "red"
        )
    return drawn


def write(
    folder: Path, facts: dict[str, object], found: Sequence[Recovery], acts: TopicActs, checks: Sequence[Check]
) -> Path:
    """Write chaos.json: the run, its recovery times, its audit."""
    path = folder / "chaos.json"
    audit = [{"what": check.what, "ok": check.ok, "found": str(check.found)} for check in checks]
    topics = {"partitions added": acts.grown, "made again": acts.made_again}
    changed = {name: [asdict(one) for one in done] for name, done in topics.items()}
    content = facts | {"recoveries": [asdict(one) for one in found], "topics": changed, "audit": audit}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return path


def plot(path: Path, journal: Journal, faults: Sequence[Fault]) -> None:
    """Plot the answers per second by outcome, with each fault as a band."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="seconds", ylabel="answers per second")
    seconds = range(int(max((entry.asked + entry.took for entry in journal.entries), default=0)) + 1)
    per_second = Counter((outcome_of(entry), int(entry.asked + entry.took)) for entry in journal.entries)
    series = [[per_second[outcome, second] for second in seconds] for outcome in OUTCOMES]
    axes.stackplot(seconds, series, labels=list(OUTCOMES), colors=list(OUTCOMES.values()), step="post")
    top = max((sum(column) for column in zip(*series, strict=True)), default=1)
    for fault in faults:
        axes.axvspan(fault.began, fault.healed or fault.began, color="0.5", alpha=0.25, linewidth=0)
        axes.text(fault.began, top * 1.03, f"{fault.name}", rotation=60, fontsize=7, va="bottom")
    axes.set_xlim(0, len(seconds))
    axes.legend(loc="upper right")
    figure.savefig(path, bbox_inches="tight")


def outcome_of(entry: Operation) -> str:
    """Return one of OUTCOMES."""
    if entry.accepted:
        return "accepted"
    return "no answer" if entry.status == NO_ANSWER else "refused, try again"


def _name(status: int) -> str:
    return str(status) if status else "no answer"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f}"
