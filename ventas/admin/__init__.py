"""The accounts in the admin, one module per page.

Django discovers this package; importing a module registers its page.
"""

from ventas.admin import catalogo, reportes, semanas, ventas

__all__ = ["catalogo", "reportes", "semanas", "ventas"]
