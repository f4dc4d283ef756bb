# SPDX-License-Identifier: MIT
"""What a test runs: servers, agents, clients and sites, all ended with the test."""
from pathlib import Path

from client import Client
from processes import OPEN, Process, program, with_descriptors


class Server(Process):
    """A wstunnel-server; `address` is that of its first listener, with the real port."""

    def __init__(self, argv):
        super().__init__(argv)
        try:
            self.address = self.wait_for(r'listening on ([^\s"]+)')[1]
        except AssertionError:
            self.popen.kill()
            self.popen.wait()
            raise

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}"

    @property
    def proxy(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def secure_url(self):
        return f"wss://localhost:{self.port}"

    @property
    def secure_proxy(self):
        return f"https://localhost:{self.port}"


def has_rules(options):
    """Whether the options of an agent name a configuration file with rules."""
    return "--config" in options and '"rules"' in Path(options[options.index("--config") + 1]).read_text()


class World:
    def __init__(self):
        self.processes = []
        self.clients = []
        self.sites = []

    def program(self, name):
        """Where the program of that name is."""
        return program(name)

    def run(self, argv, **options):
        process = Process(argv, **options)
        self.processes.append(process)
        return process

    def server(self, *options, listen="127.0.0.1:0", descriptors=None):
        argv = [self.program("wstunnel-server"), *options]
        if listen is not None:  # else it is in the configuration
            argv[1:1] = ["--listen", listen]
        server = Server(with_descriptors(descriptors, argv) if descriptors else argv)
        self.processes.append(server)
        return server

    def opens(self):
        """The options that let an agent open everything."""
        return OPEN

    def agent(self, url, *options, opens=True, descriptors=None):
        """An agent; `opens`: everything, unless its configuration has rules."""
        argv = [self.program("wstunnel-agent"), *options]
        if opens and not has_rules(options):
            argv += self.opens()
        if url is not None:  # else it is in the configuration
            argv.append(url)
        return self.run(with_descriptors(descriptors, argv) if descriptors else argv)

    def served_by(self, server, name, *options):
        """An agent of that name that the server knows."""
        agent = self.agent(server.url, "--name", name, *options)
        server.wait_for(f"agent {name} .* up from")
        return agent

    def tunnel(self, *agent_options):
        """A server and an agent that it knows."""
        server = self.server()
        agent = self.agent(server.url, *agent_options)
        server.wait_for("agent .* up from")
        return server, agent

    def client(self, server):
        """A connection to a server (or to an address, for Unix sockets "unix:/PATH")."""
        client = Client(server if isinstance(server, str) else server.address)
        self.clients.append(client)
        return client

    def site(self, site):
        self.sites.append(site)
        return site

    def end(self):
        """Clients go first, so that programs have nothing open that they would wait for; sites go
        last, since an agent without a connection keeps its streams to them."""
        failures = []
        for client in self.clients:
            client.close()
        running = [process for process in self.processes if not process.judged]
        for process in running:
            process.terminate()
        for process in running:
            process.hurry()
        for process in running:
            _try(process.wait_exit, failures)
        for site in self.sites:
            _try(site.close, failures)
        assert not failures, "\n\n".join(failures)


def _try(action, failures):
    try:
        action()
    except Exception as error:  # one failure must not keep the others running
        failures.append(str(error) or repr(error))
