"""Types of the fields that events of more than one app carry."""

from typing import Annotated

import msgspec

# The code of a product or of an ingredient.
Code = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]+$", max_length=30)]

# How much of an ingredient, in its unit. The sum of a million of the largest amount fits in a bigint.
Amount = Annotated[int, msgspec.Meta(ge=0, le=10**13)]
