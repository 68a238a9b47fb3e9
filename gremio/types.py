"""TODO."""

from typing import Annotated

import msgspec

Code = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]+$", max_length=30)]  # of a product or an ingredient
Amount = Annotated[int, msgspec.Meta(ge=0, le=10**13)]  # of an ingredient: a million such still add up in a bigint
