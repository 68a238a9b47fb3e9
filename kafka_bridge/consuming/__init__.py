"""From a topic to rows: handlers, the loop that runs them, and what happens when one fails.

Apps import `handles` from `handlers`. A round of `runner` takes a batch of messages (`intake`), as
records (`record`, `poison`), and applies them in one transaction (`batch`), which `time_limit`
bounds. `partitions` knows what a lane holds and where it continues; `culprits` finds the message to
blame if a handler fails. `lanes` starts a process per lane, and `observer` reports. `progress` and
`restore` answer questions of the apps.
"""
