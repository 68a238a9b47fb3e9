"""The benchmarks: `./dev bench --list`.

Each is a module with `SUMMARY` and `run(say) -> Result`. `sales.py` fills topics and tables and
times consumers, `system.py` runs the application's processes, `result.py` shows and stores figures.
"""
