"""A certificate authority for one run, made with openssl."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.embedded.errors import StackError

DAYS = "2"


class Authority:
    """Keys and certificates in `folder`: those of the authority (ca), and of each `issue`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = folder / "ca.crt"
        _openssl("req", "-x509", "-subj", "/CN=mamochi-cluster", *self._new_key("ca"), "-out", str(self.certificate))

    def issue(self, name: str, hosts: Sequence[str] = ()) -> tuple[Path, Path]:
        """Return certificate and key for the common name; `hosts` are IP:... and DNS:... names."""
        ca = ("-CA", str(self.certificate), "-CAkey", str(self.folder / "ca.key"))
        names = ("-addext", f"subjectAltName={','.join(hosts)}") if hosts else ()
        usage = ("-addext", "extendedKeyUsage=serverAuth,clientAuth", "-addext", "basicConstraints=critical,CA:false")
        certificate = self.folder / f"{name}.crt"
        _openssl(
            *("req", "-x509", "-subj", f"/CN={name}", *self._new_key(name), *ca, *names, *usage),
            *("-out", str(certificate)),
        )
        return certificate, self.folder / f"{name}.key"

    def _new_key(self, name: str) -> tuple[str, ...]:
        key = self.folder / f"{name}.key"
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key), "-days", DAYS)

    def key_pair(self, name: str) -> tuple[Path, Path]:
        """Return a new key for signatures and its public half."""
        key, public = self.folder / f"{name}.key", self.folder / f"{name}.pub"
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(key))
        _openssl("pkey", "-in", str(key), "-pubout", "-out", str(public))
        return key, public


def _openssl(*arguments: str) -> None:
    argv = ["openssl", *arguments]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise StackError("There is no openssl: apt install openssl.") from None
    if done.returncode:
        raise StackError(f"`openssl {arguments[0]}` failed: {done.stderr.strip()[-300:]}")
