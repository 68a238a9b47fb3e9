"""Faults that need a system of their own: clocks, disks, and mistakes of operators."""
