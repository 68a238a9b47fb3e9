import json

from deploy.embedded.waiting import wait_until
from kafka_bridge.telemetry import probe
from kafka_bridge.telemetry.pulse import Pulse
from tests.support.prometheus import get, health
from tests.support.sandbox import SECONDS, Sandbox


def test_hung_loop_is_not_live_a_waiting_one_not_ready(port: int) -> None:
    pulse = Pulse("test-loop")
    try:
        pulse.beat(working=False)
        assert (health(port, "live"), health(port, "ready")) == (200, 503)
        pulse.beat(working=True)
        assert health(port, "ready") == 200
        pulse.at -= probe.HUNG_SECONDS + 1
        status, body = get(f"http://127.0.0.1:{port}/health/live")
        answer = json.loads(body)
        assert (status, answer["status"]) == (503, "hung")
        assert list(answer["seconds_without_progress"]) == ["test-loop"]
    finally:
        pulse.end()


def test_pulse_stops_while_a_handler_hangs(sandbox: Sandbox) -> None:
    sandbox.slow = {1: 1}  # keeps its transaction for a second
    sandbox.publish(1)
    runner = sandbox.runner()
    with sandbox.running(runner):
        wait_until(lambda: runner.observer.pulse.age > 0.8, SECONDS)
        wait_until(lambda: sandbox.rows() == [1] and runner.observer.pulse.age < 0.7, SECONDS)
