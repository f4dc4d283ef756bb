# SPDX-License-Identifier: MIT
"""A certificate authority for tests, by the openssl command."""
import base64
import hashlib
import subprocess
from collections import namedtuple

Identity = namedtuple("Identity", "certificate key")


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *map(str, arguments)], check=True,
                          capture_output=True, **options).stdout  # fmt: skip


class Authority:
    def __init__(self, directory, name="Test CA", identity=None):
        """One of its own, or that of an identity."""
        self.directory = directory
        self.count = 0
        if identity is not None:
            self.certificate, self.key = identity
            return
        self.key, self.certificate = directory / "ca.key", directory / "ca.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "30", "-subj", f"/CN={name}", "-keyout", self.key,
                "-addext", "keyUsage=critical,keyCertSign",  # RFC 5280; Python 3.13 insists
                "-out", self.certificate)  # fmt: skip

    def issue(self, name, names="DNS:localhost,IP:127.0.0.1", days=30, self_signed=False,
              expired=False, period=None, more="", algorithm="ec"):  # fmt: skip
        """A certificate and its key. `period`: two dates of openssl's; `more`: extensions."""
        self.count += 1
        stem = self.directory / f"{self.count}"
        key, certificate, request = (stem.with_suffix(s) for s in (".key", ".pem", ".csr"))
        curve = ["-pkeyopt", "ec_paramgen_curve:P-256"] if algorithm == "ec" else []
        openssl("req", "-newkey", algorithm, *curve, "-nodes",
                "-subj", f"/CN={name}", "-keyout", key, "-out", request)  # fmt: skip
        extensions = stem.with_suffix(".ext")
        extensions.write_text((f"subjectAltName = {names}\n" if names else "") + more)
        if expired or period:
            period = period or ("20200101000000Z", "20200131000000Z")
            self._issue_for(period, request, extensions, certificate)
            return Identity(certificate, key)
        signer = ["-signkey", key] if self_signed else ["-CA", self.certificate, "-CAkey", self.key]
        openssl("x509", "-req", "-in", request, *signer, "-days", days, "-extfile", extensions,
                "-out", certificate)  # fmt: skip
        return Identity(certificate, key)

    def intermediate(self, name, **how):
        """An authority below this one; see issue()."""
        identity = self.issue(name, names=None, more="basicConstraints = critical,CA:TRUE\n"
                              "keyUsage = critical,keyCertSign\n", **how)  # fmt: skip
        directory = identity.certificate.with_suffix(".below")
        directory.mkdir()
        return Authority(directory, identity=identity)

    def _issue_for(self, period, request, extensions, certificate):
        """Only `openssl ca`, which keeps books, can do it in all versions."""
        books = certificate.with_suffix(".books")
        books.mkdir()
        (books / "index").touch()
        config = books / "config"
        config.write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={books}/index\nnew_certs_dir={books}\n"
            "default_md=sha256\nrand_serial=yes\npolicy=p\n[p]\ncommonName=supplied\n"
        )
        openssl("ca", "-batch", "-notext", "-config", config, "-in", request,
                "-cert", self.certificate, "-keyfile", self.key, "-extfile", extensions,
                "-startdate", period[0], "-enddate", period[1],
                "-out", certificate)  # fmt: skip


def chained(identity, *issuers):
    """The identity with the certificates of its issuers behind its own."""
    path = identity.certificate.with_suffix(".chain")
    path.write_text("".join(c.read_text() for c in (identity.certificate, *issuers)))
    return Identity(path, identity.key)


def pin_of(certificate):
    """What --pin takes: the SHA-256 of the public key."""
    key = openssl("x509", "-in", certificate, "-noout", "-pubkey")
    der = openssl("pkey", "-pubin", "-outform", "DER", input=key)
    return "sha256/" + base64.b64encode(hashlib.sha256(der).digest()).decode()
