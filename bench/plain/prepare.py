"""Make the peer's tables and sellers; print a token of each seller as a JSON list.

python -m bench.plain.prepare 50
"""

import json
import os
import sys

import django
from django.core.management import call_command


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.plain.settings"
    django.setup()
    from django.contrib.auth.models import User
    from knox.models import AuthToken

    call_command("migrate", verbosity=0)
    # The table of sales has no migration, and refers to the table of users.
    call_command("migrate", run_syncdb=True, verbosity=0)
    sellers = [User.objects.create(username=f"seller{number}") for number in range(int(sys.argv[1]))]
    json.dump([AuthToken.objects.create(seller)[1] for seller in sellers], sys.stdout)


if __name__ == "__main__":
    main()
