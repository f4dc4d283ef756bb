# SPDX-License-Identifier: MIT
"""Other tunnels, if they are installed. Nothing here builds or downloads them."""

import os
import subprocess

from .subjects import Subject, Way, find, version_of
from .processes import free_ports


class Peer(Subject):
    """`programs` must be installed; `marks` is the version that the marks were set against."""

    programs, marks, version_option = (), "", "--version"

    def __init__(self, name, folders):
        super().__init__(name)
        self.paths = {program: find(program, folders) for program in self.programs}
        if not self.missing():
            self.version = version_of(self.paths[self.programs[0]], self.version_option)

    def missing(self):
        absent = [program for program, path in self.paths.items() if path is None]
        if not absent:
            return ""
        return f"{self.name}: no {', '.join(absent)} (the marks were set against {self.marks})"

    def start(self, group, scene, targets):
        entries = [f"127.0.0.1:{port}" for port in free_ports(len(targets))]
        listen = f"{scene.near.address}:{free_ports(1)[0]}"
        pairs = list(zip(entries, targets))
        server = self.start_server(group, scene, listen, pairs)
        group.wait_until_open(scene.far, listen)
        agent = self.start_agent(group, scene, scene.carrier(listen), pairs)
        return [server, agent], [Way(entry) for entry in entries]


class Wstunnel(Peer):
    """erebe/wstunnel, in Rust: a WebSocket for each stream."""

    programs, marks = ("wstunnel",), "10.6"
    wraps, proxies = ("plain", "tls"), ("http",)

    def start_server(self, group, scene, listen, pairs):
        cert = scene.certificate
        tls = ["--tls-certificate", cert.chain, "--tls-private-key", cert.key] if cert else []
        return group.start(scene.near, self.paths["wstunnel"], "server", "--log-lvl", "WARN", *tls,
                           f"{'wss' if cert else 'ws'}://{listen}")  # fmt: skip

    def start_agent(self, group, scene, server, pairs):
        remotes = [
            option for entry, target in pairs for option in ("-R", f"tcp://{entry}:{target}")
        ]
        proxy = ["--http-proxy", scene.proxy] if scene.proxy else []
        return group.start(scene.far, self.paths["wstunnel"], "client", "--log-lvl", "WARN", *proxy,
                           *remotes,
                           f"{'wss' if scene.certificate else 'ws'}://{server}")  # fmt: skip


class Chisel(Peer):
    """SSH within one WebSocket, always encrypted."""

    programs, marks = ("chisel",), "1.11"
    wraps, proxies = ("plain", "tls"), ("http", "socks5")

    def start_server(self, group, scene, listen, pairs):
        host, port = listen.split(":")
        cert = scene.certificate
        tls = ["--tls-cert", cert.chain, "--tls-key", cert.key] if cert else []
        return group.start(scene.near, self.paths["chisel"], "server", "--reverse",
                           "--host", host, "--port", port, *tls)  # fmt: skip

    def start_agent(self, group, scene, server, pairs):
        cert = scene.certificate
        proxy = ["--proxy", scene.proxy.replace("socks5:", "socks:")] if scene.proxy else []
        return group.start(scene.far, self.paths["chisel"], "client", *proxy,
                           *(["--tls-ca", cert.chain] if cert else []),
                           f"{'https' if cert else 'http'}://{server}",
                           *(f"R:{entry}:{target}" for entry, target in pairs))  # fmt: skip


class Rathole(Peer):
    """A WebSocket for each stream."""

    programs, marks = ("rathole",), "0.5"
    TRANSPORT = 'transport]\ntype = "websocket"\n[{0}.transport.websocket]\ntls = false\n'

    def write(self, group, side, first, services):
        text = f'[{side}]\n{first}\ndefault_token = "measured"\n'
        text += f"[{side}.{self.TRANSPORT.format(side)}"
        text += "".join(f"[{side}.services.s{i}]\n{service}\n" for i, service in services)
        return group.write(f"{side}.toml", text)

    def start_server(self, group, scene, listen, pairs):
        services = enumerate(f'bind_addr = "{entry}"' for entry, _ in pairs)
        path = self.write(group, "server", f'bind_addr = "{listen}"', services)
        return group.start(scene.near, self.paths["rathole"], "--server", path)

    def start_agent(self, group, scene, server, pairs):
        services = enumerate(f'local_addr = "{target}"' for _, target in pairs)
        path = self.write(group, "client", f'remote_addr = "{server}"', services)
        return group.start(scene.far, self.paths["rathole"], "--client", path)


class Frp(Peer):
    """yamux within one WebSocket. Its TLS runs within the WebSocket, and only in TLS scenes here."""

    programs, marks = ("frps", "frpc"), "0.70"
    wraps = ("plain", "tls")

    def start_server(self, group, scene, listen, pairs):
        host, port = listen.split(":")
        path = group.write("frps.toml", f'bindAddr = "{host}"\nbindPort = {port}\n'
                           'proxyBindAddr = "127.0.0.1"\nlog.level = "warn"\n')  # fmt: skip
        return group.start(scene.near, self.paths["frps"], "-c", path)

    def start_agent(self, group, scene, server, pairs):
        host, port = server.split(":")
        text = (f'serverAddr = "{host}"\nserverPort = {port}\nlog.level = "warn"\n'
                'transport.protocol = "websocket"\n'
                f'transport.tls.enable = {"true" if scene.certificate else "false"}\n')  # fmt: skip
        for entry, target in pairs:
            address, local = target.split(":")
            text += (f'[[proxies]]\nname = "{entry}"\ntype = "tcp"\nlocalIP = "{address}"\n'
                     f'localPort = {local}\nremotePort = {entry.split(":")[1]}\n')  # fmt: skip
        return group.start(scene.far, self.paths["frpc"], "-c", group.write("frpc.toml", text))


class Ssh(Peer):
    """OpenSSH remote forwarding with aes128-gcm."""

    programs, marks, version_option = ("ssh", "sshd", "ssh-keygen"), "9.2", "-V"

    def start_server(self, group, scene, listen, pairs):
        host, port = listen.split(":")
        if os.getuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)  # or it would not start
        for name in ("host", "user"):
            subprocess.run([self.paths["ssh-keygen"], "-q", "-t", "ed25519", "-N", "", "-f",
                            group.directory / name], check=True)  # fmt: skip
        path = group.write("sshd.conf", f"ListenAddress {host}\nPort {port}\n"
                           f"HostKey {group.directory / 'host'}\n"
                           f"AuthorizedKeysFile {group.directory / 'user.pub'}\n"
                           "StrictModes no\nPidFile none\nUsePAM no\n")  # fmt: skip
        return group.start(scene.near, self.paths["sshd"], "-D", "-e", "-f", path)

    def start_agent(self, group, scene, server, pairs):
        host, port = server.split(":")
        forwards = [option for entry, target in pairs for option in ("-R", f"{entry}:{target}")]
        return group.start(scene.far, self.paths["ssh"], "-F", "none", "-N", "-p", port,
                           "-o", "BatchMode=yes",
                           "-c", "aes128-gcm@openssh.com", "-i", group.directory / "user",
                           "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                           "-o", "ExitOnForwardFailure=yes", *forwards, host)  # fmt: skip


PEERS = {"wstunnel (Rust)": Wstunnel, "rathole": Rathole, "chisel": Chisel, "frp": Frp,
         "ssh -R": Ssh}  # fmt: skip


def all_peers(folders):
    """`folders`: the folders of a peer's programs, by the first word of its name."""
    return [kind(name, folders.get(name.split()[0], ())) for name, kind in PEERS.items()]
