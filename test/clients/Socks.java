// SPDX-License-Identifier: MIT

import java.net.Authenticator;
import java.net.InetSocketAddress;
import java.net.PasswordAuthentication;
import java.net.Proxy;
import java.net.Socket;
import java.nio.charset.StandardCharsets;

/**
 * Java's sockets as a SOCKS5 client: PROXY USER PASSWORD HOST PORT PATH prints what is there by http.
 * USER is empty for a proxy that has no users.
 */
public class Socks {
    public static void main(String[] args) throws Exception {
        int colon = args[0].lastIndexOf(':');
        String host = args[0].substring(0, colon);
        int port = Integer.parseInt(args[0].substring(colon + 1));
        if (!args[1].isEmpty()) {
            Authenticator.setDefault(
                    new Authenticator() {
                        @Override
                        protected PasswordAuthentication getPasswordAuthentication() {
                            return new PasswordAuthentication(args[1], args[2].toCharArray());
                        }
                    });
        }
        Proxy proxy = new Proxy(Proxy.Type.SOCKS, new InetSocketAddress(host, port));
        try (Socket socket = new Socket(proxy)) {
            socket.connect(
                    InetSocketAddress.createUnresolved(args[3], Integer.parseInt(args[4])), 60000);
            String request = "GET " + args[5] + " HTTP/1.0\r\nHost: " + args[3] + "\r\n\r\n";
            socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
            socket.getInputStream().transferTo(System.out);
        }
        System.out.flush();
    }
}
