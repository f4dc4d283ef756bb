# SPDX-License-Identifier: MIT
"""PySocks as a client: PROXY USER PASSWORD HOST PORT PATH prints what is there by http. USER is empty
for a proxy that has no users."""
import sys

import socks

proxy, user, password, host, port, path = sys.argv[1:]
address, _, proxy_port = proxy.rpartition(":")
connection = socks.socksocket()
connection.settimeout(60)
connection.set_proxy(socks.SOCKS5, address, int(proxy_port), rdns=True,
                     username=user or None, password=password or None)  # fmt: skip
connection.connect((host, int(port)))
connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
while data := connection.recv(65536):
    sys.stdout.buffer.write(data)
