"""The benchmarks: `./dev bench --list`.

A benchmark is a module with `SUMMARY` and `run(say)`, which returns a Result or yields several. The
other modules are helpers: `sales.py` fills topics and tables and times consumers, `system.py` runs
the application's processes, `openloop` sells at a steady rate, `usage.py` reads CPU and memory by
process, `result.py` shows and stores figures, `plots` draws them. A benchmark that needs no stack
says so by `STARTS_ITS_SYSTEM`: it starts the system itself, or computes from results. Those with
options of their own have `arguments`.
"""
