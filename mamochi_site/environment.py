"""Read and check environment variables. An error names the variable that is wrong.

Each variable can also be given as a file, `NAME_FILE=/run/secrets/name`. One newline at the end of
the file is dropped, because editors and `echo` write it. A value may hold any character: nothing is
substituted in it. (django-environ replaces a value that begins with `$` by the variable of that
name, so it only parses URLs here.)
"""

import os
import re
from collections.abc import Callable
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email
from redis.backoff import NoBackoff
from redis.retry import Retry

from gremio.lectura.direcciones import con_dominio_ascii

T = TypeVar("T")

TRUE: Final = {"true", "1", "yes", "y", "on", "sí", "si"}
FALSE: Final = {"false", "0", "no", "n", "off"}
REDIS_CACHE: Final = "django.core.cache.backends.redis.RedisCache"
CACHE_SECONDS: Final = 1.0
PORTS: Final = {"http": 80, "https": 443}  # by scheme: browsers leave it out
HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")
PARTITIONS: Final = re.compile(r"(?P<topic>[\w.-]+)\s*=\s*(?P<number>[1-9]\d{0,4})")
RATE: Final = re.compile(r"[1-9][0-9]*/(s|sec|second|m|min|minute|h|hour|d|day)")


def text(name: str, default: str = "") -> str:
    """Return the value unchanged, or the default if the variable is missing or empty.

    Raises ImproperlyConfigured if `NAME_FILE` names a file that cannot be read, or both are set.
    """
    value, path = os.environ.get(name, ""), os.environ.get(f"{name}_FILE", "")
    if value and path:
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: unset one of them.")
    if not path:
        return value or default
    try:
        return Path(path).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r") or default
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE: {path} cannot be read ({type(error).__name__}).") from error


def items(value: str) -> list[str]:
    """Return the parts of a comma-separated list, stripped of spaces and without empty ones."""
    return [part for part in map(str.strip, value.split(",")) if part]


def flag(name: str, *, default: bool) -> bool:
    """Return the variable as a boolean. Raises ImproperlyConfigured for a word that is neither."""
    word = text(name).strip().lower()
    if word not in TRUE | FALSE | {""}:
        raise ImproperlyConfigured(f"{name} must be true or false, not {word!r}.")
    return word in TRUE if word else default


def number(name: str, kind: Callable[[str], T], *, default: T, least: float) -> T:
    """Return the variable as an int or a float that is at least `least`.

    Raises ImproperlyConfigured for anything else.
    """
    written = text(name).strip()
    if not written:
        return default
    try:
        value = kind(written)
        in_range = float(written) >= least
    except ValueError:
        in_range = False
    if not in_range:
        raise ImproperlyConfigured(f"{name} must be a number of at least {least:g}, not {written!r}.")
    return value


def rate_limit(name: str, default: str) -> str:
    """Return the variable: `number/period`, or empty for no limit (`NAME=none`, or set but empty).

    Raises ImproperlyConfigured for any other value.
    """
    is_given = name in os.environ or f"{name}_FILE" in os.environ
    value = text(name).strip() if is_given else default
    if value and not RATE.fullmatch(value):
        raise ImproperlyConfigured(f"{name} must be a number, a slash and a period, like 60/min, or empty: {value!r}.")
    return value


def partitions(name: str) -> dict[str, int]:
    """Return the variable's numbers by topic: `topic=number` with commas in between, or empty.

    Raises ImproperlyConfigured for any other value, and for a topic with two numbers.
    """
    entries = items(text(name))
    matches = [PARTITIONS.fullmatch(entry) for entry in entries]
    if not all(matches):
        raise ImproperlyConfigured(f"{name} must look like mamochi.ventas=12,mamochi.stock=6: {', '.join(entries)!r}.")
    numbers: dict[str, int] = {}
    for topic, given in (match.group("topic", "number") for match in matches if match):
        if topic in numbers:
            raise ImproperlyConfigured(f"{name} names {topic} twice, with {numbers[topic]} and {given}: keep one.")
        numbers[topic] = int(given)
    return numbers


def url_config(name: str, value: str, parse: Callable[[str], Any]) -> Any:
    """Return what django-environ reads from a URL.

    Raises ImproperlyConfigured that names the variable and not its value, which holds a password.
    """
    _check_url(name, value)
    try:
        return parse(value.strip())
    except (ValueError, LookupError, ImproperlyConfigured) as error:
        raise ImproperlyConfigured(f"{name} is not a URL that Django can use ({type(error).__name__}).") from error


def _check_url(name: str, value: str) -> None:
    """Raise ImproperlyConfigured for what is no URL, or has an option twice.

    Of two values of an option, one parser takes the first and another one the last.
    """
    if "://" not in value:
        raise ImproperlyConfigured(f"{name} is not a URL: it has no scheme://.")
    options = [option for option, _ in parse_qsl(value.partition("?")[2], keep_blank_values=True)]
    if len(options) > len(set(options)):
        raise ImproperlyConfigured(f"{name} has an option twice behind its question mark: keep one.")


def database(value: str, parse: Callable[[str], Any]) -> dict[str, Any]:
    """Return Django's configuration of DATABASE_URL.

    Raises ImproperlyConfigured unless it names a PostgreSQL server and a database on it.
    """
    config: dict[str, Any] = url_config("DATABASE_URL", value, parse)
    if config.get("ENGINE") != "django.db.backends.postgresql" or not config.get("NAME"):
        raise ImproperlyConfigured("DATABASE_URL must look like postgresql://user:password@host:5432/name.")
    return config


def mail(value: str, parse: Callable[[str], Any]) -> dict[str, Any]:
    """Return Django's settings of EMAIL_URL. `smtps` is TLS from the first byte, as everywhere."""
    config: dict[str, Any] = url_config("EMAIL_URL", value, parse)
    if urlsplit(value.strip()).scheme == "smtps":
        config.pop("EMAIL_USE_TLS", None)
        config["EMAIL_USE_SSL"] = True
    return config


def broker(name: str, value: str) -> str:
    """Return the URL of a Redis or Valkey server, with the scheme that its clients know.

    Raises ImproperlyConfigured, which names the variable, if it is no URL.
    """
    _check_url(name, value)
    url = value.strip()
    if "#" in url:
        raise ImproperlyConfigured(f"{name} holds a # that ends the URL: in a password, write %23.")
    return re.sub(r"^valkey(s?)://", r"redis\1://", url)


def cache(value: str, parse: Callable[[str], Any]) -> dict[str, Any]:
    """Return Django's configuration of CACHE_URL; a server that is silent holds up no request."""
    config: dict[str, Any] = url_config("CACHE_URL", broker("CACHE_URL", value), parse)
    if config["BACKEND"] == REDIS_CACHE:
        waits = {"socket_timeout": CACHE_SECONDS, "socket_connect_timeout": CACHE_SECONDS}
        config["OPTIONS"] = {**waits, "retry": Retry(NoBackoff(), 0), **config.get("OPTIONS", {})}
    return config


def site_url(value: str) -> str:
    """Return the address of the site as browsers write it, without a slash at its end.

    Scheme and host are in lower case, the host in ASCII, and the port is left out if it is the
    scheme's own. Raises ImproperlyConfigured unless it is `http(s)://host[:port][/path]`.
    """
    error = ImproperlyConfigured(f"SITE_URL must be an address like https://gremio.cl, not {value!r}.")
    try:
        parts = urlsplit(value.strip().rstrip("/"))
        name, port = _ascii_host(parts.hostname or ""), parts.port
    except ValueError:
        raise error from None
    if parts.scheme not in PORTS or not name or parts.query or parts.fragment or "@" in parts.netloc:
        raise error
    host = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{host}{f':{port}' if port and port != PORTS[parts.scheme] else ''}{parts.path}"


def hosts(value: str) -> list[str]:
    """Return the host names of ALLOWED_HOSTS, in ASCII, as requests name them.

    Raises ImproperlyConfigured for an empty list and for what is no host name, such as a URL.
    """
    if not (names := items(value)):
        raise ImproperlyConfigured("ALLOWED_HOSTS names no host: set it to the site's host names, with commas between.")
    try:
        return [name if name == "*" or name.startswith("[") else _ascii_host(name) for name in names]
    except ValueError as error:
        raise ImproperlyConfigured(
            f"ALLOWED_HOSTS must be host names like gremio.cl, without https:// and without a port: {error}."
        ) from None


def _ascii_host(name: str) -> str:
    """Return a host name as DNS and browsers write it. Raises ValueError for any other text.

    A first dot, which in ALLOWED_HOSTS stands for all names below, is kept.
    """
    dot, rest = ("." if name.startswith(".") else ""), name.removeprefix(".")
    ascii_name = con_dominio_ascii(f"x@{rest}").removeprefix("x@").lower()
    if not (HOST.fullmatch(ascii_name) or _is_ip_address(ascii_name)):
        raise ValueError(f"{name!r}")
    return dot + ascii_name


def _is_ip_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def site_of_host(hosts: list[str]) -> str:
    """Return the address of the first allowed host over HTTPS.

    Raises ImproperlyConfigured if that host is a pattern.
    """
    if hosts[0] == "*" or hosts[0].startswith("."):
        raise ImproperlyConfigured(f"Set SITE_URL: the first of ALLOWED_HOSTS, {hosts[0]!r}, is no address.")
    return site_url(f"https://{hosts[0]}")


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL, as browsers write it in the header `Origin`."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def mail_address(name: str, default: str) -> str:
    """Return the sender of e-mails. Raises ImproperlyConfigured if the variable has no address."""
    value = text(name)
    if not value:
        return default
    address = parseaddr(value)[1]
    try:
        validate_email(con_dominio_ascii(address))
    except ValidationError:
        raise ImproperlyConfigured(
            f"{name} must hold an e-mail address, like Gremio <hola@gremio.cl>; a name with a comma needs quotes: "
            f"{value!r}."
        ) from None
    return value.strip()
