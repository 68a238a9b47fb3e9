"""The accounts in the admin, one module per page.

Django discovers this package; importing a module registers its page.
"""

from ventas.admin import catalogo, libro, reportes, semanas

__all__ = ["catalogo", "libro", "reportes", "semanas"]
