/* SPDX-License-Identifier: MIT */
/*
 * The TLS engine when its library gets no memory. mbedTLS takes it by calloc() of the C library,
 * which this program replaces: an executable's own comes before the library's. OpenSSL lets us.
 */
#include "tls_chain.h"
#include "tls_pki.h"
#include "tls_self.h"

#include <stdio.h>
#ifdef WST_TLS_OPENSSL
#include <openssl/crypto.h>
#endif

static bool counting;
static size_t callocs, fail_at;

static bool no_memory(void) {
    return counting && ++callocs == fail_at;
}

#ifdef WST_TLS_OPENSSL
static void *failing_malloc(size_t size, const char *file, int line) {
    (void)file;
    (void)line;
    return no_memory() ? NULL : malloc(size);
}

static void *failing_realloc(void *block, size_t size, const char *file, int line) {
    (void)file;
    (void)line;
    return no_memory() ? NULL : realloc(block, size);
}

static void plain_free(void *block, const char *file, int line) {
    (void)file;
    (void)line;
    free(block);
}

/* Most allocations are of its decoders of keys, which are tried one after the other. */
enum { HARMED_PERCENT = 15 };

static void set_up_failures(void) {
    assert_int_equal(CRYPTO_set_mem_functions(failing_malloc, failing_realloc, plain_free), 1);
}
#else
void *calloc(size_t count, size_t size) {
    if (no_memory())
        return NULL;
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    unsigned char *block = malloc(count * size);
    for (size_t i = 0; block != NULL && i < count * size; i++)
        ((volatile unsigned char *)block)[i] = 0; /* no memset: it would be made a calloc of */
    return block;
}

enum { HARMED_PERCENT = 75 };

static void set_up_failures(void) {
}
#endif

static void fail_from(size_t n) {
    callocs = 0;
    fail_at = n;
    counting = true;
}

static bool is_expected(int status) {
    return status == WST_ENOMEM || status == WST_ETLS || status == WST_ETLSCERT;
}

/* A configuration each, a connection with client certificate, some data, the ends. Whether all went
 * well. The certificate is never accepted for lack of memory: `name` may be the wrong one. */
static bool run(const char *name) {
    const wst_tls_identity_t own = tls_identity(&tls_pki.leaf),
                             agent = tls_identity(&tls_pki.client);
    const wst_tls_server_options_t s = {.size = sizeof(s),
                                        .identities = &own,
                                        .identity_count = 1,
                                        .client_cert = WST_TLS_CLIENT_REQUIRED,
                                        .client_ca_pem = tls_pki.root.own};
    const wst_tls_client_options_t c = {
        .size = sizeof(c), .ca_pem = tls_pki.root.own, .identity = &agent};
    wst__tls_engine_t *server = NULL, *client = NULL;
    wst__tls_chain_t *chain = NULL;
    tls_rig_t rig;
    wst_tls_error_t why;
    int status = wst__tls_engine_server(&server, &test_allocator, &s, &why);
    if (status == 0)
        status = wst__tls_engine_client(&client, &test_allocator, &c, false, &why);
    bool open = false, well = false;
    if (status == 0) {
        status = tls_rig_open(&rig, client, server, name, "server.example");
        open = status == 0;
    }
    if (open && (chain = wst__tls_chain_new(&test_allocator)) != NULL)
        wst__tls_conn_keep_chain(rig.client.conn, chain);
    if (open) {
        tls_rig_shake(&rig, 0);
        well = rig.client.status == 0 && rig.server.status == 0;
        if (!well)
            assert_true(is_expected(rig.client.status) || is_expected(rig.server.status));
    } else {
        assert_true(is_expected(status));
    }
    if (well) {
        size_t len = 0;
        assert_string_equal(name, "server.example");
        assert_true(wst__tls_chain_link(chain, 1) != NULL && wst__tls_chain_link(chain, 1)->used);
        assert_true(wst__tls_conn_info(rig.server.conn)->peer_verified);
        status = tls_end_write(&rig.client, 1, 20000);
        if (status == 0)
            status = wst__tls_conn_close_notify(rig.client.conn);
        tls_end_see(&rig.server);
        if (status == 0)
            status = tls_end_read(&rig.server, 1, &len);
        well = status == WST__TLS_END && len == 20000;
        assert_true(well || is_expected(status));
    }
    counting = false;
    if (open)
        tls_rig_close(&rig);
    wst__tls_chain_free(chain);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
    return well;
}

/* Each of the first allocations, then some: there are tens of thousands, of big numbers mostly. */
static void test_no_memory(void **state) {
    (void)state;
    size_t live = test_alloc_live(), runs = 0, survived = 0;
    assert_true(run("server.example"));
    for (size_t n = 1;; n += 1 + n / 40) {
        fail_from(n);
        bool well = run("server.example");
        assert_int_equal(test_alloc_live(), live);
        runs++;
        if (callocs < n)
            break;
        survived += well; /* some it can do without */
    }
    print_message("%zu failures, of which %zu did no harm\n", runs - 1, survived);
    assert_true(runs > 200 && runs - survived > runs * HARMED_PERCENT / 100);
}

static void test_no_memory_no_mercy(void **state) {
    (void)state;
    for (size_t n = 1;; n += 1 + n / 10) {
        fail_from(n);
        assert_false(run("other.example"));
        if (callocs < n)
            break;
    }
}

/* A self-signed certificate and its pin. */
static bool make_own(void) {
    static const char *const names[] = {"own.example", NULL};
    wst__tls_self_t self = {.not_before = 1, .not_after = 2000000000};
    wst_tls_self_signed_t made;
    char pin[WST_TLS_PIN_MAX];
    wst_tls_error_t why;
    assert_true(wst__tls_self_names(&self, names));
    int status = wst__tls_engine_self_sign(&made, &self, &why);
    if (status == 0)
        status = wst__tls_engine_pin(pin, made.certificate_pem, &why);
    counting = false;
    assert_true(status == 0 || status == WST_ENOMEM || status == WST_ETLS);
    return status == 0;
}

static void test_no_memory_for_own(void **state) {
    (void)state;
    size_t runs = 0, failed = 0;
    assert_true(make_own());
    for (size_t n = 1;; n += 1 + n / 40) {
        fail_from(n);
        failed += !make_own();
        runs++;
        if (callocs < n)
            break;
    }
    print_message("%zu failures, of which %zu did harm\n", runs - 1, failed);
    assert_true(failed > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_memory_for_own),
        cmocka_unit_test(test_no_memory_no_mercy),
    };
    set_up_failures();
    return cmocka_run_group_tests(tests, tls_pki_make, tls_pki_free);
}
