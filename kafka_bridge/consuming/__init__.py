"""From a topic to rows: handlers, the loop that runs them, and what happens when one fails.

Apps import `handles` from `handlers`. A round of `runner` reads messages (`record`) and applies
them in one transaction (`batch`). If a handler fails (`attempt`), `culprit` finds the message to
blame, and `limits` stops a consumer that fails too often. `time_limit` bounds the transaction.
`positions` knows where each partition continues, and `obstacles` which topics cannot be read.
`lanes` starts a process per lane, and `observer` reports. `progress` and `restore` answer questions
of the apps.
"""
