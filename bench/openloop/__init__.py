"""Load on an open schedule: each request is sent when it is due, however long the answers take.

Latencies count from the due time. A slow answer therefore does not hide what waits behind it.
"""
