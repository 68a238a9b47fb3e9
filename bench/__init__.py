"""The benchmarks: `./dev bench --list`.

A benchmark is a module with `SUMMARY` and `run(say) -> Result`. The other modules are helpers:
`sales.py` fills topics and tables and times consumers, `system.py` runs the application's
processes, `result.py` shows and stores figures.
"""
