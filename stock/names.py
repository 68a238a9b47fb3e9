"""The names of the app's consumers, and of the topic that its notices wait for."""

from typing import Final

INVENTARIO: Final = "inventario"  # takes sales out of the carts and loads new carts
DISTRIBUIDORES: Final = "distribuidores"  # decides notices and restocks the carts

# The topic of `ventas.events`, which only stock/consumers.py may import. A test compares the two.
TOPICO_DE_VENTAS: Final = "mamochi.ventas"
