"""Numbers as people in Chile read them."""


def con_unidad(cantidad: int, unidad: str) -> str:
    """1.500 g: thousands by a dot (Django's own Spanish puts a space)."""
    return f"{miles(cantidad)} {unidad}"


def miles(cantidad: int) -> str:
    """1.500"""
    return f"{cantidad:,}".replace(",", ".")
