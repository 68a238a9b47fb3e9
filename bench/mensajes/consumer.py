"""`python bench/mensajes/consumer.py BATCH`: contabilidad with another largest batch.

The program loads the application, says so with a line, waits for a line on its input, and then runs
the product's own command. So what is measured does not begin with the imports.
"""

import os
import sys

import django


def main() -> None:
    django.setup()
    from django.core.management import call_command

    from kafka_bridge.consuming.handlers import consumers
    from ventas.libro import CONTABILIDAD

    consumers[CONTABILIDAD].max_batch = int(sys.argv[1])
    output = sys.stdout.fileno()
    os.write(output, b"loaded\n")
    os.dup2(sys.stderr.fileno(), output)  # the benchmark reads no more lines, and keeps a log
    if sys.stdin.readline():  # empty if the benchmark has ended
        call_command("run_consumer", CONTABILIDAD)


if __name__ == "__main__":
    main()
