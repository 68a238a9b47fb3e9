import pytest

from kafka_bridge.monitoring.durations import duration


@pytest.mark.parametrize(
    ("seconds", "text"), [(8, "8 s"), (119, "119 s"), (180, "3 min"), (8_000, "2 h"), (345_600, "4 días")]
)
def test_durations_are_rounded(seconds: float, text: str) -> None:
    assert duration(seconds) == text
