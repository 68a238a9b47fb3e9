from kafka_bridge.monitoring.registry import Registry


def test_override_lasts_for_its_block() -> None:
    registry: Registry[type] = Registry()
    assert registry.register(int) is int
    with registry.override(str, bytes):
        assert registry.all() == (str, bytes)
    assert registry.all() == (int,)
