"""Types of fields that the events of several apps share."""

from typing import Annotated

import msgspec

# The code of a product or of an ingredient.
Code = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]+$", max_length=30)]

# An amount of an ingredient, in its unit. A million of the largest amounts add up in a bigint.
Amount = Annotated[int, msgspec.Meta(ge=0, le=10**13)]
