"""The bookshop's one view."""

import json

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from kafka_bridge.publishing import publish
from tests.bookshop.orders.events import OrderPlaced


@csrf_exempt
def place_order(request: HttpRequest) -> JsonResponse:
    """Accept `{"number", "isbn", "copies"}` and answer 202.

    The order's number makes retries safe.
    """
    order = json.loads(request.body)
    event_id = OrderPlaced.derive_id(order["number"])
    publish(OrderPlaced.now(id=event_id, isbn=order["isbn"], copies=order["copies"]))
    return JsonResponse({"id": str(event_id)}, status=202)
