"""The builder of the report, docs/informe/informe.pdf: `./dev informe`.

The text is Typst, in docs/informe. Figures that were measured are read from bench/results by the
text itself; settings, topics and events come from the code (`facts.py`); the runs of ./dev chaos
from docs/chaos (`faults.py`). A number that was typed by hand stops the build:
docs/informe/cifras.typ marks what may have digits, and refuses every other digit.
"""
