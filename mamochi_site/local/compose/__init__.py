"""`./dev compose`: the image and deploy/compose on Docker, audited by the demo.

`files.py` writes what differs from production (ports for the audit, the mail server), `system.py`
starts and stops the services, `checks.py` asks them, `__main__.py` is the command.
"""
