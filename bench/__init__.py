"""The benchmarks: `./dev bench --list`.

A benchmark is a module with `SUMMARY` and `run(say)`, which returns a Result or yields several. The
other modules are helpers: `sales.py` fills topics and tables and times consumers, `system.py` runs
the application's processes, `openloop` sells at a steady rate, `usage.py` reads CPU and memory by
process, `result.py` shows and stores figures. A benchmark that starts the system itself says so by
`STARTS_ITS_SYSTEM`; one with options of its own has `arguments`.
"""
