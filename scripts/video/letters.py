"""A mail as a person reads it: the headers that matter, then its own HTML."""

import re
from html import escape
from pathlib import Path
from typing import Final

from deploy.embedded.mailbox import Mail

HEADERS: Final = (("De", "from"), ("Para", "to"), ("Asunto", "subject"))
STYLE: Final = "padding:12px 16px;background:#eee4d6;font:15px/1.5 system-ui;overflow-wrap:anywhere"


def write_readable(mail: Mail, folder: Path) -> str:
    """Write the mail as a page into the folder; return its address."""
    lines = "".join(f"<div>{name}: <b>{escape(str(mail.message[header]))}</b></div>" for name, header in HEADERS)
    page = re.sub(r"(<body[^>]*>)", rf'\1<div style="{STYLE}">{lines}</div>', mail.html, count=1)
    path = folder / f"{mail.path.stem}.html"
    path.write_text(page)
    return path.as_uri()
