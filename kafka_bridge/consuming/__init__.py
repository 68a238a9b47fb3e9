"""From a topic to rows: handlers, the loop that runs them, and what happens when one fails.

Apps import `handles` from `handlers`. A round of `runner` reads messages (`record`) and applies
them in one transaction (`batch`). If a handler fails (`attempt`), `culprit` finds the message to
blame, and `limits` stops a consumer that fails too often. `positions` knows where each partition
continues, `lanes` starts a process per lane, and `observer` reports. `progress` and `restore`
answer questions of the apps.
"""
