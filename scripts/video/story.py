"""The script of the film: what people do, in order, and what the captions say of it."""

import time
from typing import Final

from deploy.embedded.mailbox import Mail
from mamochi_site.local.demo.audit import WEEK_SUBJECT
from mamochi_site.local.demo.maestro import CREDENTIALS_SUBJECT, SALES_PER_CART, TOKEN
from scripts.video import letters
from scripts.video.film import BOOT, DESK, TERMINAL, THREE, Shot
from scripts.video.studio import Studio

# Seconds of the start that are shown: the first, and the last.
START_S: Final = (7.5, 6.5)
VICTIM: Final = 1  # of the three brokers
QUEUE: Final = "/admin/inscripciones/inscripcion/"
SELL: Final = "/api/v1/ventas/"
CART: Final = "/api/v1/stock/"
# Rosa's sales before the cart is shown, with the pauses between them in seconds.
SLOWLY: Final = (1.2, 1.0, 0.6, 0.6, 0.6)
QUICKLY: Final = (0.2,) * (SALES_PER_CART - 1 - len(SLOWLY))


def tell(studio: Studio, began: float, ready: float, *, short: bool) -> None:
    """Play the story; the system started at `began` and was ready at `ready` (epoch seconds).

    The short one ends with the mail.
    """
    start(studio, began, ready)
    enrol(studio)
    approve(studio)
    read_mail(studio)
    if not short:
        sell(studio)
        run_out(studio)
        lose_a_broker(studio)
        close_the_week(studio)
        audit(studio)
    studio.film.cut()


def start(studio: Studio, began: float, ready: float) -> None:
    """Show the servers' start, which has been recorded, and log in to the admin meanwhile."""
    first, last = START_S
    second = max(began + first, ready - last)
    studio.film.shots += [
        Shot(
            began,
            "MAMOCHI, el sistema del gremio de maestros del mote con huesillo, parte en este computador.",
            BOOT,
            began + first,
        ),
        Shot(
            second,
            "Kafka, PostgreSQL, Valkey y correo, de verdad: nada de lo que verás está simulado.",
            BOOT,
            second + last,
        ),
    ]
    desk, phone = studio.film.desk.page, studio.film.phone.page
    desk.goto("/admin/")
    desk.fill("input[name=username]", studio.system.admin_user)
    desk.fill("input[name=password]", studio.system.admin_password)
    desk.click("button[type=submit]")
    phone.goto("/api/v1/inscripciones/")
    studio.film.hold(second + last - time.time())  # a start may be quicker than what is read meanwhile


def enrol(studio: Studio) -> None:
    """Let Rosa enrol on the phone, then the others: two Paid and three normal forms."""
    film, phone, persona = studio.film, studio.film.phone, studio.rosa.persona
    film.shot("Rosa vende mote con huesillo en un carro. Se inscribe en el gremio desde su teléfono.", THREE)
    phone.type("Nombre", persona.nombre)
    phone.type("RUT", persona.rut)
    phone.type("Correo", persona.email)
    phone.type("Teléfono", persona.telefono)
    phone.type("Comuna", persona.comuna)
    film.shot("Ya pagó, así que su formulario es Paid: viaja por una partición propia y se revisa primero.")
    paid = phone.page.get_by_label("Ya pagué mi inscripción")
    phone.show(paid)
    paid.check()
    phone.type("Comprobante de pago", persona.comprobante)
    phone.press("Enviar mi inscripción")
    film.see("teléfono", "Inscripción recibida")
    studio.rosa.inscripcion_id = phone.page.url.rstrip("/").rsplit("/", 1)[1]
    film.shot("Otros cuatro maestros se inscriben por la API: en total, dos Paid (★) y tres normales.")
    studio.begin()
    film.until(lambda: all(puesto.estado == "en_revision" for puesto in studio.others), "the others in review")
    film.desk.page.reload()
    film.see("terminal", "en revisión")
    film.see("admin", "Paid por revisar")


def approve(studio: Studio) -> None:
    """Approve Rosa's form, then the others', as a reviewer does."""
    film, desk, phone = studio.film, studio.film.desk, studio.film.phone
    film.cut()
    desk.page.goto(QUEUE)
    film.shot("En el admin espera la fila: primero las Paid. La decisión es de una persona.", DESK)
    film.see("admin", "Esperan 2 Paid y 3 normales")
    film.shot("Abre la inscripción de Rosa, mira qué dijo cada regla y la aprueba.")
    desk.page.get_by_role("link", name=studio.rosa.persona.nombre).first.click()
    desk.page.wait_for_url("**/change/**")
    film.hold(1.5)
    desk.show(desk.page.get_by_text("Qué dijeron las reglas"))
    film.hold(2.5)
    desk.top()
    desk.page.get_by_role("link", name="Aprobar").click()
    desk.page.locator("textarea[name=motivo]").press_sequentially("Comprobante revisado.", delay=40)
    film.hold(0.6)
    desk.press("Aprobar")
    film.see("admin", "Inscripciones aprobadas: 1.")
    phone.page.get_by_role("link", name="Ver si hay novedades").click()
    film.see("teléfono", "Ya eres parte del gremio")
    film.shot("Después aprueba a los otros cuatro de una vez.")
    desk.page.goto(QUEUE)
    desk.page.locator("#action-toggle").first.check()
    film.hold(0.6)
    desk.page.select_option("select[name=action]", label="Aprobar")
    desk.press("Ejecutar")
    film.hold(0.8)
    desk.press("Aprobar")
    film.see("admin", "Inscripciones aprobadas: 4.")


def letter(studio: Studio, subject: str) -> Mail:
    """Wait for the mail of that subject to Rosa."""
    mailbox, email = studio.place.mailbox, studio.rosa.persona.email
    studio.film.until(lambda: mailbox.mails(to=email, subject=subject), f"the mail «{subject}»", timeout=180)
    return mailbox.mails(to=email, subject=subject)[0]


def read_mail(studio: Studio) -> None:
    """Show the mail with the token on the phone."""
    film, phone = studio.film, studio.film.phone
    mail = letter(studio, CREDENTIALS_SUBJECT)
    film.cut()
    phone.page.goto(letters.write_readable(mail, studio.folder))
    film.shot("A Rosa le llega un correo con su token, la llave para vender. A los otros también.", TERMINAL)
    film.see("terminal", "Correos que llegaron: 5")
    film.hold(2.5)
    film.see("teléfono", "Este es tu token.")


def sell(studio: Studio) -> None:
    """Log in with the token and sell on the phone, while the others sell too."""
    film, phone, api = studio.film, studio.film.phone, studio.director.apis[0]
    token = TOKEN.findall(letter(studio, CREDENTIALS_SUBJECT).text)[0]
    film.shot("Entra con el token. Cada toque es una venta, que Kafka guarda antes de responder.")
    phone.page.get_by_role("link", name="Entrar con mi token").click()
    phone.type("Tu token", token)
    phone.press("Entrar")
    api.token = token
    phone.page.get_by_role("link", name="Vender").first.click()
    for pause in SLOWLY[:2]:
        sell_one(studio, pause)
    film.see("teléfono", "Venta recibida")
    film.shot("Los otros cuatro venden por la API, cada uno cada 5 a 7 segundos.")
    for pause in SLOWLY[2:]:
        sell_one(studio, pause)
    film.see("terminal", "Ventas aceptadas por la API")
    film.hold(4.0)
    phone.page.goto(SELL)
    film.see("teléfono", "en tus cuentas")


def sell_one(studio: Studio, pause: float, producto: str = "mediano") -> None:
    """Sell one on the phone, and look at the answer for a moment (seconds)."""
    phone = studio.film.phone.page
    if not phone.url.endswith(SELL):
        phone.goto(SELL)
    phone.get_by_role("button", name=producto.capitalize()).click()
    phone.get_by_role("status").wait_for()
    studio.sold(producto)
    studio.film.hold(pause)


def run_out(studio: Studio) -> None:
    """Empty the cart with the tenth sale, and show that the distributors fill it."""
    film, phone, desk = studio.film, studio.film.phone, studio.film.desk
    film.cut()
    for pause in QUICKLY:
        sell_one(studio, pause)
    film.until(lambda: any(row["cantidad"] == 1 for row in studio.rosa.stock), "one glass left in Rosa's cart")
    phone.page.goto(CART)
    desk.page.goto("/admin/stock/carro/")
    film.shot("A Rosa le queda para un solo vaso. El admin también lo ve.", DESK)
    film.see("teléfono", "1 de 10")
    film.see("admin", studio.rosa.persona.nombre)
    film.shot("Vende el último. El sistema avisa por ella y los distribuidores llenan el carro al instante.")
    phone.page.goto(SELL)
    film.hold(0.8)
    sell_one(studio, 0.8)
    film.until(lambda: studio.rosa.reposiciones == 1, "the restock of Rosa's cart")
    phone.page.goto(CART)
    desk.page.reload()
    film.hold(2.5)
    film.see("teléfono", "Lo avisó MAMOCHI por ti")


def lose_a_broker(studio: Studio) -> None:
    """Kill a broker, sell meanwhile, and start the broker again."""
    film, phone, desk = studio.film, studio.film.phone, studio.film.desk
    broker = studio.system.stack.kafka.brokers[VICTIM]
    film.cut()
    desk.page.goto("/admin/kafka_bridge/overviewpage/")
    phone.page.goto(SELL)
    film.shot("El panorama: tres brokers de Kafka, los consumidores al día, nada atrasado.", DESK)
    film.see("admin", "Todo funciona.")
    film.shot(
        "Ahora matamos uno de los tres brokers de Kafka (kill\u00a0-9) en plena venta. ¿Qué dice el sistema?", THREE
    )
    film.hold(1.5)
    studio.place.broken.add(broker.process_name)
    broker.kill()
    studio.director.scene.say(f"kill -9 a {broker.process_name}, uno de los tres brokers", "bold red")
    film.see("terminal", "kill -9")
    sell_one(studio, 0.5)
    film.cut()
    film.until(lambda: desk.page.get_by_text("tiene menos copias").count(), "the broker missed")
    film.shot("Que faltan copias, que no se ha perdido nada y qué hay que hacer.")
    film.see("admin", "No se ha perdido nada.")
    film.shot("Rosa y los otros siguen vendiendo: los dos brokers que quedan guardan cada venta.", poster=True)
    for _ in range(3):
        sell_one(studio, 0.8)
    film.see("teléfono", "Venta recibida")
    film.shot("El broker parte de nuevo y se pone al día solo.", DESK)
    broker.restart(wait=False)
    film.hold(3.0)
    film.cut()
    film.until(lambda: desk.page.get_by_text("Todo funciona.").count(), "all copies complete", timeout=120)
    studio.place.broken.clear()
    film.shot("Todo funciona otra vez. Nadie tuvo que hacer nada más.")
    film.see("admin", "Todo funciona.")
    film.see("admin", "3 brokers")


def close_the_week(studio: Studio) -> None:
    """Sell until the end of the week, which Beat closes; Rosa reads the mail."""
    film, phone = studio.film, studio.film.phone
    film.cut()
    while len(studio.rosa.sold) < studio.director.scene.pace.sales:
        sell_one(studio, 0.3)
    studio.check()
    film.until(lambda: all(puesto.done for puesto in studio.others), "the others' last sales", timeout=180)
    film.until(studio.named_sales, "Rosa's sales in the accounts")
    film.shot("Termina la semana. Celery Beat la cierra cuando cada venta está contada.", TERMINAL)
    film.hold(1.5)
    studio.rosa.done = True
    film.see("terminal", "Celery Beat cierra la semana")
    film.hold(4.0)
    film.cut()
    mail = letter(studio, WEEK_SUBJECT)
    film.shot("Cada maestro recibe su correo de la semana: cuántas ventas y cuánto ganó.")
    phone.page.goto(letters.write_readable(mail, studio.folder))
    film.see("teléfono", "Ganancias")
    film.hold(2.0)
    phone.show(phone.page.get_by_text("Ganancias por día"))


def audit(studio: Studio) -> None:
    """Show the audit, which compares what was accepted with what the system has."""
    film = studio.film
    film.cut()
    film.until(lambda: studio.audited, "the audit")
    film.shot("La auditoría compara lo que la API aceptó con filas, correos, stock y tópicos de Kafka.")
    film.see("terminal", "Auditoría")
    film.see("terminal", "Todo cuadra")
    film.shot("Todo cuadra: nada se perdió y nada se contó dos veces. Grábalo tú: ./dev video")
    film.hold(6.0)
