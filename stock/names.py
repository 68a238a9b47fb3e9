"""The names of the app's consumers, and of the topic that its notices wait for."""

from typing import Final

INVENTARIO: Final = "inventario"  # takes sales out of the carts and loads new carts
DISTRIBUIDORES: Final = "distribuidores"  # decides notices and restocks the carts

# The name of the topic in `ventas.events`. Only stock/consumers.py may import that module; a test
# checks that the two names are equal.
TOPICO_DE_VENTAS: Final = "mamochi.ventas"
