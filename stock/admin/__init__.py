"""The carts in the admin: one module per page, which registers itself when it is imported.

Staff do not edit totals: a correction is a line of the ledger, with its reason.
"""

from stock.admin import avisos, carros, insumos, movimientos

__all__ = ["avisos", "carros", "insumos", "movimientos"]
