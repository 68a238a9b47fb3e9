"""The page of events for people."""

from django.test import Client

from kafka_bridge.events.event import registered


def test_people_read_the_events_in_spanish(client: Client) -> None:
    shown = client.get("/api/eventos/").content.decode()
    for event in registered.values():
        assert event.type in shown
    assert "Lo reciben: <code>contabilidad</code>" in shown
    assert 'href="/api/asyncapi/"' in shown
    assert 'href="/api/docs/"' in shown
