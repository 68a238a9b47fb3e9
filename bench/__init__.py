"""What is measured, against what. Each benchmark is a module with `SUMMARY` and `run(say) -> Result`: `./dev bench --list`."""
