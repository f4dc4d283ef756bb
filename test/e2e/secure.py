# SPDX-License-Identifier: MIT
"""Clients that speak TLS, with a say in what sockets of Python's ssl do by themselves: when
close_notify is sent, and what an end without it looks like."""
import socket
import ssl

from client import Client, open_socket


class SecureSocket:
    """TLS over a connected socket. recv gives b"" for close_notify only; a connection that ends
    without it raises ssl.SSLEOFError."""

    def __init__(self, sock, context, name, session=None):
        self.socket = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name,
                                    session=session)  # fmt: skip
        self._run(self.tls.do_handshake)

    def _flush(self):
        data = self.outgoing.read()
        if data:  # sending nothing would raise an error of the connection before what came is read
            self.socket.sendall(data)

    def _run(self, operation, *arguments):
        while True:
            try:
                result = operation(*arguments)
                self._flush()
                return result
            except ssl.SSLWantReadError:
                self._flush()
                data = self.socket.recv(65536)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def sendall(self, data):
        view = memoryview(data)
        while view:
            view = view[self._run(self.tls.write, view) :]

    def recv(self, size):
        try:
            return self._run(self.tls.read, size)
        except ssl.SSLZeroReturnError:
            return b""

    def shutdown(self, _how):
        """Sends close_notify, and no FIN."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self._flush()

    def setsockopt(self, *arguments):
        self.socket.setsockopt(*arguments)

    def close(self):
        """Without close_notify."""
        self.socket.close()


class SecureClient(Client):
    def __init__(self, address, context, name="localhost", session=None, connect=open_socket):
        self.buffer = bytearray()
        self.tcp = connect(address)
        self.socket = SecureSocket(self.tcp, context, name, session)

    @property
    def tls(self):
        return self.socket.tls

    def cut(self):
        """FIN without close_notify."""
        self.tcp.shutdown(socket.SHUT_WR)


def client_context(authority, identity=None):
    context = ssl.create_default_context(cafile=authority.certificate)
    if identity is not None:
        context.load_cert_chain(*identity)
    return context
