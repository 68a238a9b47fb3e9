"""Tests of `kafka_bridge.consuming`."""
