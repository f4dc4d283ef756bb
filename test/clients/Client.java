// SPDX-License-Identifier: MIT

import java.io.ByteArrayInputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.Authenticator;
import java.net.InetSocketAddress;
import java.net.PasswordAuthentication;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Java's HttpClient as a client: see test_languages.py for what is asked of it. */
public class Client {
    static HttpClient client;

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

    static HttpClient through(URI proxy, String ca) throws Exception {
        var address = new InetSocketAddress(proxy.getHost(), proxy.getPort());
        var builder = HttpClient.newBuilder().proxy(ProxySelector.of(address));
        builder.sslContext(trust(ca));
        if (proxy.getUserInfo() != null) {
            String[] user = proxy.getUserInfo().split(":", 2);
            builder.authenticator(
                    new Authenticator() {
                        protected PasswordAuthentication getPasswordAuthentication() {
                            return new PasswordAuthentication(user[0], user[1].toCharArray());
                        }
                    });
        }
        return builder.build();
    }

    static byte[] body(HttpResponse<byte[]> answer) {
        if (answer.statusCode() != 200)
            throw new IllegalStateException(answer.uri() + ": " + answer.statusCode());
        return answer.body();
    }

    static HttpRequest get(String url) {
        return HttpRequest.newBuilder(URI.create(url)).build();
    }

    static String hash(Iterable<byte[]> parts) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        for (byte[] part : parts)
            digest.update(part);
        return HexFormat.of().formatHex(digest.digest());
    }

    static void visit(String scheme, String origin) throws Exception {
        byte[] data = body(client.send(get(origin + "/file"), BodyHandlers.ofByteArray()));
        System.out.println(scheme + " get " + hash(List.of(data)));
        // A stream has no length: it is sent in chunks.
        var stream = HttpRequest.BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(data));
        var put = HttpRequest.newBuilder(URI.create(origin + "/app/hash")).PUT(stream).build();
        System.out.println(
                scheme + " put " + new String(body(client.send(put, BodyHandlers.ofByteArray()))));
        var pending = new ArrayList<CompletableFuture<HttpResponse<byte[]>>>();
        for (int i = 0; i < 100; i++) {
            var request = get(origin + "/tiles/" + i + ".png");
            pending.add(client.sendAsync(request, BodyHandlers.ofByteArray()));
        }
        var tiles = new ArrayList<byte[]>();
        for (var answer : pending)
            tiles.add(body(answer.get()));
        System.out.println(scheme + " many " + hash(tiles));
    }

    public static void main(String[] args) throws Exception {
        client = through(URI.create(args[0]), args[1]);
        visit("http", args[2]);
        visit("https", args[3]);
        var answer = client.send(get("http://" + args[4] + "/"), BodyHandlers.discarding());
        System.out.println("http refused " + answer.statusCode());
        try {
            client.send(get("https://" + args[4] + "/"), BodyHandlers.discarding());
        } catch (IOException error) {
            System.out.println("https refused " + error.getMessage());
        }
        System.exit(0); // do not wait for threads that keep connections
    }
}
