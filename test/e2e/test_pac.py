# SPDX-License-Identifier: MIT
"""The proxy auto-config file at /proxy.pac: what it makes a browser do, for whom it is, reloading."""
import ipaddress
import json
import random
import shutil
import subprocess

import pytest

from configuration import Config, reload
from processes import PATIENCE

# What browsers give to the file: the functions of the original specification, of which a name look-up
# must not be one that is needed. Prints what it answers to each [url, host].
EVALUATOR = """
const vm = require('vm');
const [file, questions] = JSON.parse(require('fs').readFileSync(0));
const never = () => { throw new Error('looks up a name'); };
const browser = {
    dnsResolve: never, isResolvable: never, isInNet: never, myIpAddress: never,
    isPlainHostName: (host) => !host.includes('.'),
    dnsDomainIs: (host, domain) => host.endsWith(domain),
    localHostOrDomainIs: (host, name) => host === name || name.startsWith(host + '.'),
    dnsDomainLevels: (host) => host.split('.').length - 1,
    shExpMatch: (text, pattern) => new RegExp('^' + pattern.replace(/\\./g, '\\\\.')
        .replace(/\\*/g, '.*').replace(/\\?/g, '.') + '$').test(text),
};
vm.runInNewContext(file, browser);
const answer = ([url, host]) => browser.FindProxyForURL(url, host);
console.log(JSON.stringify(questions.map(answer)));
"""

PATTERNS = ["wiki", "*.intranet.example", "Shop.Example:443,8000-8999", "a*b*c.example",
            "10.0.0.0/8", "192.0.2.7:8080", "172.16.0.0/12:22,80", "[2001:db8:8000::]/33",
            "[fd00::1]:443", "0.0.0.0/32"]  # fmt: skip

# What goes to the proxy, and what does not.
YES = [
    "http://wiki/", "https://wiki:8443/x", "http://WIKI./", "ftp://wiki/", "ws://wiki/chat",
    "http://a.intranet.example/", "https://a.b.intranet.example:1/", "http://a.intranet.example./",
    "https://shop.example/", "wss://shop.example/", "http://shop.example:443/",
    "http://shop.example:8000/", "https://shop.example:8999/?q=x:80/", "http://aXbYbZc.example/",
    "http://10.0.0.0/", "http://10.255.255.255/", "http://user:80@10.1.2.3/", "http://192.0.2.7:8080/",
    "http://172.16.0.1/", "http://172.31.255.255:80/", "https://[2001:db8:8000::1]/",
    "http://[2001:db8:ffff:1:2:3:4:5]:99/", "https://[fd00::1]/", "http://[FD00:0:0:0:0:0:0:1]:443/",
    "http://[::ffff:10.1.2.3]/", "http://[::ffff:a01:203]/", "http://0.0.0.0/",
]  # fmt: skip
NO = [
    "http://wikis/", "http://xwiki/", "http://wiki.example/", "http://intranet.example/",
    "http://a.intranet.example.evil/", "http://aintranet.example/", "http://shop.example/",
    "ws://shop.example/", "https://shop.example:7999/", "https://shop.example:9000/",
    "ftp://shop.example/", "unknown://shop.example/", "https://shopxexample/",
    "http://shop.example/:443", "http://user:443@shop.example/", "http://shop.example/@x:443/",
    "http://aXbYbZ.example/", "http://9.255.255.255/", "http://11.0.0.0/", "http://10.example/",
    "http://192.0.2.7/", "http://192.0.2.8:8080/", "http://172.15.255.255/", "http://172.32.0.0/",
    "https://172.16.0.1/", "http://[2001:db8:7fff:ffff::1]/", "http://[2001:db9:8000::1]/",
    "http://[fd00::1]/", "https://[fd00::2]/", "http://[::10.1.2.3]/", "http://[::a00:1]/",
    "http://[::ffff:b00:1]/", "http://[::]/", "http://0.0.0.1/", "http://example/",
]  # fmt: skip


def host_of(url):
    """As browsers say it: without port and, most of them, without brackets."""
    authority = url.split("://")[1].split("/")[0].rpartition("@")[2]
    return authority[1:].partition("]")[0] if authority[0] == "[" else authority.partition(":")[0]


def evaluate(file, questions):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node, which evaluates the file")
    done = subprocess.run([node, "-e", EVALUATOR], input=json.dumps([file, questions]), text=True,
                          capture_output=True, timeout=PATIENCE)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def choices(file, urls):
    return dict(zip(urls, evaluate(file, [[url, host_of(url)] for url in urls])))


def ask(world, server, fields=None, method="GET", path="/proxy.pac"):
    client = world.client(server)
    host = f"Host: {server.address}\r\n" if fields is None else fields
    return client.ask(f"{method} {path} HTTP/1.1\r\n{host}\r\n".encode())


@pytest.fixture
def start(world, tmp_path):
    """A function that starts a server with these members."""

    def run(*options, listen="127.0.0.1:0", **members):
        config = Config(tmp_path / "server.json", **members)
        return world.server("--config", config.path, *options, listen=listen), config

    return run


def test_choices(world, start):
    server, _ = start(pac=PATTERNS)
    answer = ask(world, server)
    assert answer.status == 200
    assert answer.fields["Content-Type"] == "application/x-ns-proxy-autoconfig"
    assert answer.fields["Cache-Control"] == "no-store"
    file = answer.body.decode("ascii")
    proxy = f"PROXY {server.address}"
    assert choices(file, YES) == dict.fromkeys(YES, proxy)
    assert choices(file, NO) == dict.fromkeys(NO, "DIRECT")
    # Some engines keep the brackets.
    assert evaluate(file, [["https://[fd00::1]/", "[fd00::1]"]]) == [proxy]


def test_edges_of_networks(world, start):
    """The addresses at both ends of networks of every length, and those beside them, in short and
    long forms: Python's own arithmetic says what belongs to them. Each has a port of its own."""
    rng = random.Random(2026)
    nets = [ipaddress.IPv4Network((rng.getrandbits(32), length), strict=False) for length in range(33)]
    nets += [ipaddress.IPv6Network((rng.getrandbits(128), n), strict=False) for n in range(0, 129, 3)]
    patterns, questions, inside = [], [], []
    for port, net in enumerate(nets, 1):
        authority = "[{}]:{}" if net.version == 6 else "{}:{}"
        pattern = authority.replace(":{}", "/{}:{}")
        patterns.append(pattern.format(net.network_address, net.prefixlen, port))
        for edge in (int(net.network_address), int(net.broadcast_address)):
            for number in (edge - 1, edge, edge + 1):
                address = net[0].__class__(number % 2**net.max_prefixlen)
                for host in {str(address), address.exploded}:
                    questions.append([f"http://{authority.format(host, port)}/", host])
                    inside.append(address in net)
    server, _ = start(pac=patterns)
    answers = evaluate(ask(world, server).body.decode(), questions)
    assert not [q for q, a, i in zip(questions, answers, inside) if (a != "DIRECT") != i]
    assert inside.count(True) > 300 and inside.count(False) > 150


def test_every_host(world, start):
    server, _ = start(pac="*:80")
    urls = ["http://a/", "http://10.0.0.1/", "http://[::1]/", "https://a/"]
    answers = choices(ask(world, server).body.decode(), urls)
    assert list(answers.values()) == 3 * [f"PROXY {server.address}"] + ["DIRECT"]


def test_as_the_browser_asked(world, start):
    """The proxy is what the browser has in Host, and nothing else gets into the file."""
    server, _ = start(pac="wiki")
    for host, proxy in (("proxy.example", "proxy.example:80"), ("[::1]:81", "[::1]:81")):
        file = ask(world, server, f"Host: {host}\r\n").body.decode()
        assert choices(file, ["http://wiki/"]) == {"http://wiki/": f"PROXY {proxy}"}
    for host in ('x"; evil(); "', "x\\", "a:80; DIRECT", "a b", "a,b", "</script>", "", "a:0",
                 "\u00e4", "x\u2028"):  # fmt: skip
        client = world.client(server)
        client.send(f"GET /proxy.pac HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = client.read_answer()
        assert answer.status == 400 and b"evil" not in answer.body, host
    assert ask(world, server, "").status == 400


def test_configured_proxy(world, start):
    """For a server behind another proxy, which ends TLS."""
    server, _ = start(pac="wiki", pac_proxy="https://proxy.example")
    file = ask(world, server, "").body.decode()
    assert choices(file, ["http://wiki/"]) == {"http://wiki/": "HTTPS proxy.example:443"}


def test_tls(start, identity, authority):
    """Both ways at one address: each is told the way that it came."""
    server, _ = start("--cert", identity.certificate, "--key", identity.key,
                      listen="127.0.0.1:0,tls,plain", pac="wiki")  # fmt: skip
    for scheme, way in (("http", "PROXY"), ("https", "HTTPS")):
        url = f"{scheme}://localhost:{server.port}/proxy.pac"
        file = subprocess.run(["curl", "-sS", "--fail", "--noproxy", "*", "--cacert",
                               authority.certificate, url], capture_output=True, text=True,
                              timeout=PATIENCE, check=True).stdout  # fmt: skip
        assert f'var proxy = "{way} localhost:{server.port}";' in file


def test_only_if_configured(world, start):
    """And only where clients are served; it needs no credentials."""
    server, config = start(users=[{"name": "alice", "password": "alice's"}])
    assert ask(world, server).status == 404
    config.change(server, pac=["wiki"])
    assert ask(world, server).status == 200
    assert ask(world, server, method="POST").status == 405
    config.change(server, pac=["docs"])
    file = ask(world, server).body.decode()
    assert '"docs"' in file and '"wiki"' not in file
    config.change(server, pac=None)
    assert ask(world, server).status == 404
    other, _ = start("--listen", "127.0.0.1:0,health", pac=["wiki"])
    address = other.wait_for(r"listening on (\S+)", count=2)[1]
    client = world.client(address)
    assert client.ask(b"GET /proxy.pac HTTP/1.1\r\nHost: x\r\n\r\n").status == 404


FAULTS = [
    ({"pac": ["wiki", "10.*"]}, "pac: '10.*': not an address"),
    ({"pac": ["a\"b"]}, "pac: 'a\"b': character not allowed"),
    ({"pac": []}, "pac: must not be empty"),
    ({"pac": ["\u00e4.example"]}, "xn--"),
    ({"pac": [f"host-{i}.intranet.example:80,443" for i in range(500)]}, "longer than 16 KiB"),
    ({"pac": "wiki", "pac_proxy": "proxy.example"}, "pac_proxy: 'proxy.example': not a http"),
    ({"pac_proxy": "http://proxy.example"}, "pac_proxy: needs pac"),
]


@pytest.mark.parametrize("members, fault", FAULTS)
def test_faulty(world, start, tmp_path, members, fault):
    """At the start, and at a reload, which changes nothing."""
    config = Config(tmp_path / "faulty.json", **members)
    server = world.run([world.program("wstunnel-server"), "--config", config.path])
    server.wait_exit(2)
    assert fault in server.output
    server, config = start(pac="wiki")
    config.write(**members)
    reload(server, "configuration not reloaded: nothing has changed")
    assert fault in server.output
    assert b'"wiki"' in ask(world, server).body
