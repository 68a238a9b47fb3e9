"""`python bench/mensajes/consumer.py BATCH`: contabilidad with another largest batch.

The program loads the application, waits for a line on its input, and then runs the product's own
command. So what is measured does not begin with the imports.
"""

import sys

import django


def main() -> None:
    django.setup()
    from django.core.management import call_command

    from kafka_bridge.consuming.handlers import consumers
    from ventas.libro import CONTABILIDAD

    consumers[CONTABILIDAD].max_batch = int(sys.argv[1])
    if sys.stdin.readline():  # empty if the benchmark has ended
        call_command("run_consumer", CONTABILIDAD)


if __name__ == "__main__":
    main()
