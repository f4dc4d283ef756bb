# SPDX-License-Identifier: MIT
"""
Real proxies, as whoever runs the tests: tinyproxy, squid, microsocks, dante, nginx. Each listens on an
address of its own in 127.0.0.0/8, since they cannot be asked for a free port: nobody else takes one
there. It connects from that address, too, so that it can be told whether who comes came that way;
but for dante, which takes the addresses of interfaces only.
"""
import hashlib
import itertools
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from processes import OPEN, PASSWORD, USER, Process, program, wait_until

REALM = "proxies"
_count = itertools.count(1)


def own_address():
    number = os.getpid() * 16 + next(_count)
    return f"127.{64 + (number >> 16) % 64}.{(number >> 8) % 256}.{number % 254 + 1}"


PROXY_VARIABLES = re.compile("(https?|all|no)_proxy", re.IGNORECASE)


def agent(world, url, *options, **variables):
    """An agent that knows no more of proxies than it is told: not what this machine says of them."""
    environment = {k: v for k, v in os.environ.items() if not PROXY_VARIABLES.fullmatch(k)}
    return world.run([program("wstunnel-agent"), *OPEN, *options, url], env=environment | variables)


def need(name):
    # Some are in sbin, which is not in everybody's path.
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/usr/lib/squid")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


class Proxy:
    """Its files are in `directory`; `address` is host:port."""

    def __init__(self, port, host=None):
        self.directory = Path(tempfile.mkdtemp(prefix="wstunnel-proxy-"))
        self.directory.chmod(0o755)  # squid becomes another user
        self.host = host or own_address()
        self.port = port
        self.address = f"{self.host}:{port}"
        self.process = self.argv = None

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    def start(self, argv):
        """Runs it until it listens, which most of them do not tell."""
        self.argv = argv
        self.process = Process(argv, start_new_session=True)

        def ready():
            assert self.process.popen.poll() is None, self.process.output
            with socket.socket() as probe:
                return probe.connect_ex((self.host, self.port)) == 0

        wait_until(ready, f"{argv[0]} listens")

    def start_again(self):
        self.start(self.argv)

    def stop(self):
        """At once."""
        os.killpg(self.process.pid, signal.SIGKILL)  # with their helpers
        self.process.popen.wait()
        self.process.reader.join()
        self.process.popen.stdout.close()
        self.process.judged = True

    def close(self):
        if self.process is not None and not self.process.judged:
            self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


NGINX = """
{module}
daemon off;
worker_processes 1;
{user}
pid {directory}/pid;
error_log stderr;
events {{ worker_connections 2048; }}
{blocks}
"""

NGINX_HTTP = """
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {http}
}}
"""

NGINX_MODULES = [Path("/usr/lib/nginx/modules"), Path("/usr/share/nginx/modules")]


def nginx_stream_module():
    for folder in NGINX_MODULES:
        if (path := folder / "ngx_stream_module.so").exists():
            return path
    pytest.skip("nginx's stream module is not installed (libnginx-mod-stream)")


def nginx_command(nginx, directory, http=None, stream=None, main=""):
    """The command of an nginx whose files are in `directory`, its configuration among them, with
    these contents of its blocks http and stream, and these directives outside of them."""
    module, blocks = main, ""
    if http is not None:
        blocks += NGINX_HTTP.format(directory=directory, http=http)
    if stream is not None:
        module += f"\nload_module {nginx_stream_module()};"
        blocks += f"stream {{\n{stream}\n}}\n"
    user = "user root;" if os.geteuid() == 0 else ""  # it would become nobody
    config = directory / "nginx.conf"
    config.write_text(NGINX.format(module=module, user=user, directory=directory, blocks=blocks))
    return [nginx, "-p", directory, "-e", "stderr", "-c", config]


class Tinyproxy(Proxy):
    def __init__(self, password=None, connect_port=None):
        super().__init__(8888)
        lines = [f"Listen {self.host}", f"Bind {self.host}", "Port 8888", "LogLevel Connect"]
        if password is not None:
            lines.append(f"BasicAuth {USER} {password}")
        if connect_port is not None:
            lines.append(f"ConnectPort {connect_port}")
        config = self.write("tinyproxy.conf", "\n".join(lines) + "\n")
        self.start([need("tinyproxy"), "-d", "-c", config])


SQUID = """
http_port {host}:3128
tcp_outgoing_address {host}
{https}
hosts_file {directory}/hosts
{auth}
acl everybody {acl}
acl forbidden dstdomain forbidden.test
http_access deny forbidden
http_access allow everybody
http_access deny all
cache deny all
cache_mem 8 MB
access_log none
cache_store_log none
cache_log {directory}/run/log
pid_filename {directory}/run/pid
coredump_dir {directory}/run
netdb_filename none
pinger_enable off
visible_hostname squid.test
shutdown_lifetime 0 seconds
forward_timeout 5 seconds
connect_timeout 3 seconds
"""


class Squid(Proxy):
    """`auth`: "basic", "digest", "ntlm" or several. The names server.test and forbidden.test are
    known to it only. With an `authority` it takes TLS too, at secure_address. `passwords`: of
    schemes that shall have another one."""

    def __init__(self, *auth, authority=None, passwords=None):
        super().__init__(3128)
        squid = need("squid")
        run = self.directory / "run"
        run.mkdir()
        if os.geteuid() == 0:
            shutil.chown(run, "proxy")
        self.write("hosts", "127.0.0.1 server.test forbidden.test\n")
        https = ""
        if authority is not None:
            identity = authority.issue("squid.test", names=f"IP:{self.host}")
            self.secure_address = f"{self.host}:3129"
            pem = self.write("identity.pem", identity.certificate.read_text())
            key = self.write("identity.key", identity.key.read_text())
            https = f"https_port {self.secure_address} tls-cert={pem} tls-key={key}"
        config = self.write(
            "squid.conf",
            SQUID.format(
                host=self.host,
                https=https,
                directory=self.directory,
                auth="\n".join(
                    self._scheme(name, (passwords or {}).get(name, PASSWORD)) for name in auth
                ),
                acl="proxy_auth REQUIRED" if auth else "src all",
            ),
        )
        # Its shared memory is called after the service: not that of another run, or another user's.
        self.service = "wstunnel" + secrets.token_hex(4)
        self.start([squid, "-N", "-n", self.service, "-d", "1", "-f", config])

    def close(self):
        super().close()
        for path in Path("/dev/shm").glob(f"{self.service}-*"):
            path.unlink()

    def _scheme(self, name, password):
        if name == "basic":
            users = self.write("users", "")
            subprocess.run([need("htpasswd"), "-b", "-m", users, USER, password],
                           check=True, stderr=subprocess.DEVNULL)  # fmt: skip
            return (f"auth_param basic program {need('basic_ncsa_auth')} {users}\n"
                    f"auth_param basic realm {REALM}")  # fmt: skip
        if name == "digest":
            ha1 = hashlib.md5(f"{USER}:{REALM}:{password}".encode()).hexdigest()
            users = self.write("digest", f"{USER}:{REALM}:{ha1}\n")
            return (f"auth_param digest program {need('digest_file_auth')} -c {users}\n"
                    f"auth_param digest realm {REALM}")  # fmt: skip
        return f"auth_param ntlm program {need('ntlm_fake_auth')}"


class Microsocks(Proxy):
    def __init__(self, password=None):
        super().__init__(1080)
        login = ["-u", USER, "-P", password] if password is not None else []
        self.start([need("microsocks"), "-i", self.host, "-b", self.host, "-p", "1080", *login])


DANTE = """
logoutput: stderr
internal: {host} port = {port}
external: 127.0.0.1
clientmethod: none
socksmethod: none
client pass {{ from: 127.0.0.0/8 to: 0/0 }}
socks pass {{ from: 0/0 to: 0/0 log: connect }}
"""


class Dante(Proxy):
    def __init__(self):
        super().__init__(10000 + os.getpid() % 20000, "127.0.0.1")
        config = self.write("danted.conf", DANTE.format(host=self.host, port=self.port))
        self.start([need("danted"), "-f", config, "-N", "1", "-p", self.directory / "pid"])
