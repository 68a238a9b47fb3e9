from django.apps import AppConfig


class VentasConfig(AppConfig):
    name = "ventas"
    verbose_name = "Ventas y contabilidad"

    def ready(self) -> None:
        from ventas.catalogo import historia  # models exist only now

        historia.connect()
