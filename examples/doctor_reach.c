/* SPDX-License-Identifier: MIT */
#include "doctor_reach.h"

#include <stdio.h>
#include <string.h>

enum { ADDRESSES_TOLD = 4 };

/* URLs --------------------------------------------------------------------------------------- */

static bool is_scheme(const char *url, size_t len, const char *scheme) {
    return wst_str_ieq((wst_str_t){url, len}, scheme);
}

/* Whether the authority, of that length, ends in a port. */
static bool has_port(const char *authority, size_t len) {
    while (len > 0 && authority[len - 1] != ':' && authority[len - 1] != ']')
        len--;
    return len > 0 && authority[len - 1] == ':';
}

bool doctor_place_parse(doctor_place_t *out, const char *url, const char **why) {
    const char *end = strstr(url, "://"), *scheme = end != NULL ? url : "http";
    size_t scheme_len = end != NULL ? (size_t)(end - url) : strlen(scheme);
    const char *begin = end != NULL ? end + 3 : url;
    size_t whole = strcspn(begin, "/?#"), len = whole;
    for (size_t i = 0; i < whole; i++)
        if (begin[i] == '@')
            len = whole - i - 1;
    const char *authority = begin + whole - len;
    bool socks =
        is_scheme(scheme, scheme_len, "socks5") || is_scheme(scheme, scheme_len, "socks5h");
    char text[sizeof(out->authority) + 8];
    wst_authority_t a;
    *out = (doctor_place_t){.path = begin + whole};
    out->tls = is_scheme(scheme, scheme_len, "wss") || is_scheme(scheme, scheme_len, "https");
    *why = "host too long";
    if (len >= sizeof(out->authority))
        return false;
    snprintf(out->authority, sizeof(out->authority), "%.*s", (int)len, authority);
    int text_len = snprintf(text, sizeof(text), "%s", out->authority);
    if (!has_port(authority, len))
        snprintf(text + text_len, sizeof(text) - (size_t)text_len, ":%d",
                 socks      ? 1080
                 : out->tls ? 443
                            : 80);
    if (wst_parse_authority(&a, (wst_str_t){text, strlen(text)}, why) != 0)
        return false;
    snprintf(out->host, sizeof(out->host), "%.*s", (int)a.host.len, a.host.ptr);
    out->port = a.port;
    snprintf(out->where, sizeof(out->where), "%.*s://%s%.*s", (int)scheme_len, scheme,
             out->authority, (int)strcspn(out->path, "?#"), out->path);
    return true;
}

/* Look-up and TCP ---------------------------------------------------------------------------- */

typedef struct found {
    bool done;
    int status;
    char text[320];
} found_t;

static void on_found(int status, const struct sockaddr_storage *addresses, size_t count,
                     void *user_data) {
    found_t *f = user_data;
    size_t len = 0;
    f->done = true;
    f->status = status;
    for (size_t i = 0; i < count && i < ADDRESSES_TOLD; i++) {
        char name[64] = "";
        uv_ip_name((const struct sockaddr *)&addresses[i], name, sizeof(name));
        len +=
            (size_t)snprintf(f->text + len, sizeof(f->text) - len, "%s%s", i > 0 ? ", " : "", name);
    }
    if (count > ADDRESSES_TOLD)
        snprintf(f->text + len, sizeof(f->text) - len, " and %zu more", count - ADDRESSES_TOLD);
}

static bool look_up(doctor_t *d, const char *host) {
    found_t found = {0};
    wst_resolve_t *request;
    doctor_begin(d, "name");
    found.status = wst_resolve(&request, d->ctx, host, d->timeout_ms, on_found, &found);
    if (found.status == 0)
        doctor_wait(d, &found.done, 0);
    if (found.status == 0)
        return doctor_pass(d, "%s: %s", host, found.text);
    return doctor_fail(d,
                       found.status == WST_ENAMETIMEOUT || found.status == UV_EAI_AGAIN
                           ? "no name server answers: is this machine in the network, and its "
                             "resolver right?"
                           : "is the name right, and known in this network? Where names of the "
                             "Internet are not known, there is often a proxy",
                       "%s: %s", host, wst_strerror(found.status));
}

typedef struct dialled {
    bool done;
    int status;
    wst_stream_t *stream;
} dialled_t;

static void on_dialled(int status, wst_stream_t *stream, void *user_data) {
    dialled_t *dialled = user_data;
    *dialled = (dialled_t){.done = true, .status = status, .stream = stream};
}

static int dial(doctor_t *d, const doctor_place_t *place, wst_stream_t **out) {
    dialled_t dialled = {0};
    const wst_dial_options_t options = {.size = sizeof(options),
                                        .host = place->host,
                                        .port = place->port,
                                        .timeout_ms = d->timeout_ms};
    wst_dial_t *request;
    int status = wst_dial(&request, d->ctx, &options, on_dialled, &dialled);
    if (status != 0)
        return status;
    doctor_wait(d, &dialled.done, 0);
    *out = dialled.stream;
    return dialled.status;
}

static const char *tcp_advice(int error, const char *proxy_hint) {
    switch (error) {
    case UV_ECONNREFUSED:
        return "nothing listens there, or a firewall rejects it: is the port right, and the server "
               "running?";
    case UV_ETIMEDOUT:
    case WST_EDIALTIMEOUT:
        return proxy_hint != NULL ? proxy_hint
                                  : "nothing answers: a firewall drops it, or the address is wrong";
    case UV_ENETUNREACH:
    case UV_EHOSTUNREACH:
        return "there is no way to that address: is this machine in the network?";
    default:
        return NULL;
    }
}

wst_stream_t *doctor_connect(doctor_t *d, const doctor_place_t *place, const char *proxy_hint) {
    wst_stream_t *stream = NULL;
    if (!look_up(d, place->host))
        return NULL;
    doctor_begin(d, "tcp");
    int status = dial(d, place, &stream);
    if (status == 0)
        doctor_pass(d, "%s", wst_stream_peer(stream));
    else
        doctor_fail(d, tcp_advice(status, proxy_hint), "port %u: %s", place->port,
                    wst_strerror(status));
    return stream;
}

/* A proxy ------------------------------------------------------------------------------------ */

typedef struct proxy_dial {
    bool done;
    doctor_proxied_t *out;
} proxy_dial_t;

/* Adds the name of a challenge's scheme, its first word, unless it is there or does not fit. */
static void add_scheme(char schemes[DOCTOR_SCHEMES_MAX], wst_str_t challenge) {
    char word[32];
    size_t len = strlen(schemes), n = 0;
    for (; n < challenge.len && n < sizeof(word) - 1 && challenge.ptr[n] != ' '; n++)
        word[n] = challenge.ptr[n];
    word[n] = '\0';
    if (strstr(schemes, word) == NULL && len + n + 3 < DOCTOR_SCHEMES_MAX)
        snprintf(schemes + len, DOCTOR_SCHEMES_MAX - len, "%s%s", len > 0 ? ", " : "", word);
}

static void on_challenge(wst_request_t *request, void *user_data) {
    doctor_proxied_t *out = ((proxy_dial_t *)user_data)->out;
    const wst_http_head_t *head = wst_request_head(request);
    const wst_http_header_t *field = NULL;
    out->schemes[0] = '\0';
    while ((field = wst_http_header(head, "Proxy-Authenticate", field)) != NULL)
        add_scheme(out->schemes, field->value);
    wst_request_allow(request); /* by the credentials given, if there are some */
}

static void on_proxy_dialled(int status, wst_stream_t *stream, const wst_proxy_failure_t *failure,
                             void *user_data) {
    proxy_dial_t *p = user_data;
    p->done = true;
    p->out->status = status;
    p->out->stream = stream;
    if (failure == NULL)
        return;
    p->out->http_status = failure->http_status;
    snprintf(p->out->detail, sizeof(p->out->detail), "%s", failure->detail);
}

void doctor_proxy_dial(doctor_t *d, doctor_proxied_t *out, const wst_proxy_options_t *proxy,
                       const char *host, uint16_t port) {
    proxy_dial_t p = {.out = out};
    wst_proxy_options_t asking = *proxy;
    const wst_proxy_dial_options_t options = {.size = sizeof(options),
                                              .proxy = &asking,
                                              .host = host,
                                              .port = port,
                                              .timeout_ms = d->timeout_ms};
    wst_proxy_dial_t *dial;
    const char *why = "";
    *out = (doctor_proxied_t){0};
    asking.on_challenge = on_challenge;
    asking.user_data = &p;
    out->status = wst_proxy_dial(&dial, d->ctx, &options, &why, on_proxy_dialled, &p);
    if (out->status == 0)
        doctor_wait(d, &p.done, 0);
    else
        snprintf(out->detail, sizeof(out->detail), "the proxy: %s",
                 out->status == WST_EINVAL ? why : wst_strerror(out->status));
}

const char *doctor_proxy_advice(const doctor_proxied_t *proxied, const char *credentials_hint) {
    if (proxied->status == WST_EPROXYAUTH)
        return credentials_hint;
    if (proxied->http_status == 403)
        return "the proxy does not let this destination or port through: its operator decides";
    if (proxied->http_status >= 500)
        return "the proxy has tried, and has not got there";
    if (proxied->status == WST_EHTTP || proxied->status == WST_EPROTO)
        return "what listens there is no proxy of that kind: is its scheme (http, https, socks5) "
               "right?";
    return NULL;
}

/* TLS ---------------------------------------------------------------------------------------- */

typedef struct handshake {
    doctor_t *doctor;
    bool insecure;
    bool done;
    int status;
    wst_tls_handshake_t *handle;
    wst_stream_t *stream;
    const char *gap; /* what is missing of the chain; NULL: nothing */
    char detail[320];
} handshake_t;

/* A certificate of the peer. `used`, `fault`: see wst_tls_link_t. */
static void add_certificate(const handshake_t *h, const wst_tls_certificate_t *is, bool used,
                            const char *fault) {
    doctor_certificate_t c = {.outcome = DOCTOR_PASSED};
    if (!used || h->insecure)
        c.outcome = DOCTOR_SKIPPED;
    if (fault[0] != '\0')
        c.outcome = DOCTOR_FAILED;
    snprintf(c.fault, sizeof(c.fault), "%s", fault);
    c.readable = is != NULL;
    if (is != NULL) {
        snprintf(c.subject, sizeof(c.subject), "%s", is->subject);
        snprintf(c.issuer, sizeof(c.issuer), "%s", is->issuer);
        snprintf(c.pin, sizeof(c.pin), "%s", is->pin);
        c.not_after = is->not_after;
    }
    doctor_add_certificate(h->doctor, &c);
}

/* Why the issuer of the n-th certificate of the chain is not known. */
static const char *find_gap(const wst_tls_handshake_t *handshake, size_t n) {
    const char *issuer = wst_tls_handshake_chain(handshake, n)->certificate->issuer;
    const wst_tls_link_t *link;
    if (wst_tls_handshake_chain(handshake, 1) == NULL)
        return "the server sent only its own certificate, whose issuer is not among the trusted "
               "ones";
    for (size_t i = 0; (link = wst_tls_handshake_chain(handshake, i)) != NULL; i++)
        if (link->certificate != NULL && strcmp(link->certificate->subject, issuer) == 0)
            return "the server sent a certificate of that issuer which does not fit, or in front "
                   "of the one that it has issued";
    return "the server did not send the certificate of that issuer, which is not among the trusted "
           "ones";
}

/* Notes the chain that the peer has sent. */
static void note_chain(handshake_t *h) {
    static const char gap[] = "issuer not trusted";
    const wst_tls_link_t *link;
    for (size_t n = 0; (link = wst_tls_handshake_chain(h->handle, n)) != NULL; n++) {
        add_certificate(h, link->certificate, link->used, link->fault);
        if (link->used && strncmp(link->fault, gap, strlen(gap)) == 0)
            h->gap = find_gap(h->handle, n);
    }
}

static void on_handshake(int status, wst_stream_t *stream, const char *detail, void *user_data) {
    handshake_t *h = user_data;
    h->done = true;
    h->status = status;
    h->stream = stream;
    snprintf(h->detail, sizeof(h->detail), "%s", detail != NULL ? detail : "");
    note_chain(h);
}

/* Takes the transport. */
static void shake_hands(handshake_t *h, wst_stream_t *transport, const doctor_tls_t *tls) {
    const wst_tls_handshake_options_t options = {.size = sizeof(options),
                                                 .config = tls->config,
                                                 .server_name = tls->server_name,
                                                 .sni = tls->sni,
                                                 .timeout_ms = h->doctor->timeout_ms,
                                                 .keep_chain = true};
    h->status = wst_tls_handshake(&h->handle, transport, &options, on_handshake, h);
    if (h->status == 0) {
        doctor_wait(h->doctor, &h->done, 0);
        return;
    }
    snprintf(h->detail, sizeof(h->detail), "%s", wst_strerror(h->status));
    wst_stream_close(transport, NULL);
}

wst_stream_t *doctor_secure(doctor_t *d, wst_stream_t *transport, const doctor_tls_t *tls) {
    handshake_t h = {.doctor = d, .insecure = tls->insecure};
    doctor_begin(d, "tls");
    shake_hands(&h, transport, tls);
    if (h.status != 0) {
        doctor_fail(d, h.gap != NULL ? tls->gap_advice : tls->advice(h.status, h.detail), "%s%s%s",
                    h.detail[0] != '\0' ? h.detail : wst_strerror(h.status),
                    h.gap != NULL ? "; " : "", h.gap != NULL ? h.gap : "");
        return NULL;
    }
    const wst_tls_info_t *info = wst_stream_tls(h.stream);
    if (info->resumed && info->peer != NULL) /* sends none again */
        add_certificate(&h, info->peer, true, "");
    doctor_pass(d, "%s, %s%s%s", info->version, info->cipher_suite,
                info->resumed ? ", resumed" : "", info->peer_verified ? "" : "; not verified");
    return h.stream;
}
