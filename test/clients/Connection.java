// SPDX-License-Identifier: MIT

import java.io.FileInputStream;
import java.io.InputStream;
import java.net.Authenticator;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.PasswordAuthentication;
import java.net.Proxy;
import java.net.URI;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.CertificateFactory;
import java.util.HexFormat;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * Java's URLConnection, nothing changed: PROXY CERTIFICATE URL. Prints how it was asked for its
 * password, and the SHA-256 of what it got.
 */
public class Connection {
    static SSLContext trust(String path) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (InputStream file = new FileInputStream(path)) {
            store.setCertificateEntry(
                    "ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory factory =
                TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, factory.getTrustManagers(), null);
        return context;
    }

    public static void main(String[] args) throws Exception {
        URI uri = URI.create(args[0]);
        String[] user = uri.getUserInfo().split(":", 2);
        Authenticator.setDefault(
                new Authenticator() {
                    protected PasswordAuthentication getPasswordAuthentication() {
                        System.out.println(getRequestingScheme());
                        return new PasswordAuthentication(user[0], user[1].toCharArray());
                    }
                });
        HttpsURLConnection.setDefaultSSLSocketFactory(trust(args[1]).getSocketFactory());
        var address = new InetSocketAddress(uri.getHost(), uri.getPort());
        var proxy = new Proxy(Proxy.Type.HTTP, address);
        var connection = (HttpURLConnection) URI.create(args[2]).toURL().openConnection(proxy);
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        try (InputStream body = connection.getInputStream()) {
            digest.update(body.readAllBytes());
        }
        System.out.println(HexFormat.of().formatHex(digest.digest()));
    }
}
