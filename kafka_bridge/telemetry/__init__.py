"""What one process reports about itself: log lines, traces, metrics and health."""
