/* SPDX-License-Identifier: MIT */
/* Certificate files: taken when they change and are right, left alone when they are not, and what
 * is said about them. */
#include "env.h"

#include "ctx.h"
#include "tls_certs.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wstunnel/tls_files.h>

enum { MINUTE_MS = 60000 };

typedef struct rig {
    test_env_t env; /* the first member: the context's log gets it */
    char directory[64], chain[96], key[96], ca[96];
    tls_made_t root, first, second;
    wst_tls_files_t *files;
    wst_tls_file_pair_t pair;
    wst_tls_files_options_t options;
    size_t configs, closed;
    wst_tls_config_t *last; /* lent */
    bool close_in_config;
    uint64_t passed_ms;
} rig_t;

static void write_text(const char *path, const char *text, size_t len) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void put(const char *path, const char *text) {
    write_text(path, text, strlen(text));
}

static void put_pair(rig_t *r, const tls_made_t *made) {
    put(r->chain, made->chain);
    put(r->key, made->key);
}

static void on_closed(void *user_data) {
    ((rig_t *)user_data)->closed++;
}

static void close_files(rig_t *r) {
    wst_tls_files_close(r->files, on_closed);
}

static void on_config(wst_tls_files_t *files, wst_tls_config_t *config, void *user_data) {
    rig_t *r = user_data;
    assert_ptr_equal(files, r->files);
    assert_ptr_equal(config, wst_tls_files_config(files));
    assert_int_equal(r->closed, 0);
    r->configs++;
    r->last = config;
    if (r->close_in_config)
        close_files(r);
}

static void rig_open(rig_t *r) {
    memset(r, 0, sizeof(*r));
    test_env_open(&r->env);
    r->env.ctx->options.log_level = WST_LOG_INFO;
    snprintf(r->directory, sizeof(r->directory), "/tmp/tls_files_XXXXXX");
    assert_non_null(mkdtemp(r->directory));
    snprintf(r->chain, sizeof(r->chain), "%s/chain.pem", r->directory);
    snprintf(r->key, sizeof(r->key), "%s/key.pem", r->directory);
    snprintf(r->ca, sizeof(r->ca), "%s/ca.pem", r->directory);
    tls_make(&r->root, &(tls_spec_t){.subject = "CN=root", .ca = true}, NULL);
    tls_make(&r->first, &(tls_spec_t){.subject = "CN=first", .names = "dns:a.test"}, &r->root);
    tls_make(&r->second, &(tls_spec_t){.subject = "CN=second", .names = "dns:a.test"}, &r->root);
    put_pair(r, &r->first);
    put(r->ca, r->root.own);
    r->pair = (wst_tls_file_pair_t){sizeof(wst_tls_file_pair_t), r->chain, r->key};
    r->options = (wst_tls_files_options_t){.size = sizeof(wst_tls_files_options_t),
                                           .pairs = &r->pair,
                                           .pair_count = 1,
                                           .on_config = on_config,
                                           .user_data = r};
}

static void rig_start(rig_t *r) {
    wst_tls_error_t why = {""};
    if (wst_tls_files_new(&r->files, r->env.ctx, &r->options, &why) != 0)
        fail_msg("%s", why.text);
}

static void rig_free(rig_t *r) {
    if (r->files != NULL) {
        close_files(r);
        close_files(r); /* again: nothing */
        assert_int_equal(r->closed, 0);
        test_env_until_count(&r->env, &r->closed, 1);
    }
    unlink(r->chain);
    unlink(r->key);
    unlink(r->ca);
    assert_int_equal(rmdir(r->directory), 0);
    tls_made_free(&r->first);
    tls_made_free(&r->second);
    tls_made_free(&r->root);
    test_env_close(&r->env);
    assert_int_equal(r->closed, r->files != NULL);
}

/* Time passes for whatever waits for it. */
static void pass(rig_t *r) {
    r->passed_ms += 2 * MINUTE_MS;
    wst__deadlines_run(&r->env.ctx->deadlines, wst__now(r->env.ctx) + r->passed_ms);
}

static const char *subject_of(const wst_tls_config_t *config) {
    const char *subject;
    wst_tls_config_expiry(config, &subject);
    return subject;
}

static void assert_logged(rig_t *r, const char *text) {
    if (strstr(r->env.log, text) == NULL)
        fail_msg("the last line is not about \"%s\": %s", text, r->env.log);
}

/* -- Right ------------------------------------------------------------------------------------- */

static void test_first(void **state) {
    (void)state;
    rig_t r;
    char date[16];
    rig_open(&r);
    rig_start(&r);
    assert_string_equal(subject_of(wst_tls_files_config(r.files)), "CN=first");
    assert_int_equal(r.env.log_lines, 1);
    assert_logged(&r, r.chain);
    tls_date(date, 30);
    assert_logged(&r, ": CN=first, expires on ");
    assert_logged(&r, ", pin sha256/");
    assert_logged(&r, date);
    test_env_turns(&r.env, 3);
    assert_int_equal(r.configs, 0); /* it is in what new answered */
    rig_free(&r);
}

/* Other content is taken by itself; the same content, whatever happens to the files, is not. */
static void test_change(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    rig_start(&r);
    put_pair(&r, &r.first);
    pass(&r);
    assert_int_equal(r.configs, 0);
    assert_int_equal(r.env.log_lines, 1);
    put_pair(&r, &r.second);
    pass(&r);
    assert_int_equal(r.configs, 1);
    assert_string_equal(subject_of(r.last), "CN=second");
    pass(&r);
    assert_int_equal(r.configs, 1);
    rig_free(&r);
}

/* By the clock, too. */
static void test_interval(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.options.check_interval_ms = 5;
    rig_start(&r);
    for (size_t i = 1; i <= 3; i++) {
        put_pair(&r, i % 2 != 0 ? &r.second : &r.first); /* one file after the other */
        test_env_until_count(&r.env, &r.configs, i);
    }
    assert_string_equal(subject_of(r.last), "CN=second");
    rig_free(&r);
}

/* As certbot does: links that lead elsewhere from one moment to the next. */
static void test_links(void **state) {
    (void)state;
    rig_t r;
    char chain[128], key[128];
    rig_open(&r);
    snprintf(chain, sizeof(chain), "%s/chain2.pem", r.directory);
    snprintf(key, sizeof(key), "%s/key2.pem", r.directory);
    put(chain, r.second.chain);
    put(key, r.second.key);
    rig_start(&r);
    unlink(r.chain);
    unlink(r.key);
    assert_int_equal(symlink(chain, r.chain), 0);
    assert_int_equal(symlink(key, r.key), 0);
    pass(&r);
    assert_int_equal(r.configs, 1);
    assert_string_equal(subject_of(r.last), "CN=second");
    unlink(chain);
    unlink(key);
    rig_free(&r);
}

/* Who asks gets a new one from the loop, changed or not. */
static void test_reload(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    rig_start(&r);
    wst_tls_files_reload(r.files);
    wst_tls_files_reload(r.files);
    assert_int_equal(r.configs, 0);
    test_env_until_count(&r.env, &r.configs, 1);
    test_env_turns(&r.env, 3);
    assert_int_equal(r.configs, 1);
    rig_free(&r);
}

/* Certificates of clients' issuers are looked after, too. */
static void test_client_ca(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.options.client_cert = WST_TLS_CLIENT_REQUIRED;
    r.options.client_ca = r.ca;
    rig_start(&r);
    put(r.ca, r.first.own);
    pass(&r);
    assert_int_equal(r.configs, 1);
    put(r.ca, "none");
    pass(&r);
    assert_int_equal(r.configs, 1);
    assert_logged(&r, r.ca);
    rig_free(&r);
}

/* -- Wrong ------------------------------------------------------------------------------------- */

/* What was there stays; each fault is said once, until it is mended or somebody asks. */
static void test_faults(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    rig_start(&r);
    const wst_tls_config_t *good = wst_tls_files_config(r.files);
    size_t lines = r.env.log_lines;
    for (int again = 0; again < 2; again++) { /* once as long as it is the same */
        put(r.key, r.second.key);
        pass(&r);
        assert_int_equal(r.env.log_lines, lines + 1);
        assert_logged(&r, "the certificates stay as they are: /tmp/tls_files_");
        assert_logged(&r, "the key does not belong to the certificate");
    }
    unlink(r.key);
    for (int again = 0; again < 2; again++) {
        pass(&r);
        assert_int_equal(r.env.log_lines, lines + 2);
        assert_logged(&r, "key.pem: no such file or directory");
    }
    wst_tls_files_reload(r.files);
    test_env_until_count(&r.env, &r.env.log_lines, lines + 3);
    assert_logged(&r, "key.pem: no such file or directory");
    assert_int_equal(r.configs, 0);
    assert_ptr_equal(wst_tls_files_config(r.files), good);
    put_pair(&r, &r.second);
    pass(&r);
    assert_int_equal(r.configs, 1);
    unlink(r.key); /* it was mended in between, so it is said again */
    pass(&r);
    assert_logged(&r, "key.pem: no such file or directory");
    rig_free(&r);
}

static void refuse(rig_t *r, const char *text) {
    wst_tls_error_t why = {""};
    wst_tls_files_t *files;
    assert_int_equal(wst_tls_files_new(&files, r->env.ctx, &r->options, &why), WST_ETLS);
    if (strstr(why.text, text) == NULL)
        fail_msg("\"%s\" is not about \"%s\"", why.text, text);
    assert_int_equal(wst_tls_files_new(&files, r->env.ctx, &r->options, NULL), WST_ETLS);
}

static void test_not_started(void **state) {
    (void)state;
    static char large[1024 * 1024 + 1];
    rig_t r;
    wst_tls_files_t *files;
    rig_open(&r);
    put(r.chain, "-----BEGIN CERTIFICATE-----\n");
    refuse(&r, "chain.pem");
    memset(large, '\n', sizeof(large));
    write_text(r.chain, large, sizeof(large));
    refuse(&r, "chain.pem: larger than 1 MiB");
    write_text(r.chain, large, sizeof(large) - 1);
    refuse(&r, "chain.pem");
    write_text(r.chain, "a\0b", 3);
    refuse(&r, "chain.pem: not a text file");
    put(r.chain, r.second.chain);
    refuse(&r, "key.pem: the key does not belong to the certificate");
    unlink(r.chain);
    refuse(&r, "chain.pem: no such file or directory");
    put_pair(&r, &r.first);
    r.options.client_cert = WST_TLS_CLIENT_OPTIONAL;
    assert_int_equal(wst_tls_files_new(&files, r.env.ctx, &r.options, NULL), WST_EINVAL);
    r.options.client_ca = "/nowhere";
    refuse(&r, "/nowhere: no such file or directory");
    r.options.client_ca = r.key;
    refuse(&r, "key.pem");
    r.options.client_cert = WST_TLS_CLIENT_NONE;
    r.pair.key = NULL;
    assert_int_equal(wst_tls_files_new(&files, r.env.ctx, &r.options, NULL), WST_EINVAL);
    r.options.pair_count = 0;
    assert_int_equal(wst_tls_files_new(&files, r.env.ctx, &r.options, NULL), WST_EINVAL);
    rig_free(&r);
}

/* Which of several it is. */
static void test_several(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    const wst_tls_file_pair_t pairs[] = {{sizeof(wst_tls_file_pair_t), r.chain, r.key},
                                         {sizeof(wst_tls_file_pair_t), r.ca, r.key}};
    r.options.pairs = pairs;
    r.options.pair_count = 2;
    put(r.ca, r.second.chain);
    r.env.log_lines = 0;
    refuse(&r, "ca.pem, ");
    assert_int_equal(r.env.log_lines, 0); /* the one that is right has not been taken */
    put(r.ca, r.first.chain);
    rig_start(&r);
    assert_int_equal(r.env.log_lines, 2); /* a line each */
    rig_free(&r);
}

/* -- Warned of --------------------------------------------------------------------------------- */

/* At the beginning, then once a day at most; and never with the name of a secret in it. */
static void test_expiry(void **state) {
    (void)state;
    static const struct {
        int days;
        const char *text; /* NULL: no word */
    } cases[] = {{15, NULL},
                 {13, "the certificate of CN=soon expires on "},
                 {-1, "the certificate of CN=soon has expired on "}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_t r;
        tls_made_t soon;
        char date[16];
        rig_open(&r);
        tls_make(&soon,
                 &(tls_spec_t){.subject = "CN=soon", .from_days = -9, .to_days = cases[i].days},
                 &r.root);
        put_pair(&r, &soon);
        rig_start(&r);
        tls_date(date, cases[i].days);
        assert_int_equal(r.env.log_lines, cases[i].text != NULL ? 2 : 1);
        assert_logged(&r, cases[i].text != NULL ? cases[i].text : "CN=soon, expires on");
        assert_logged(&r, date);
        pass(&r);
        assert_int_equal(r.env.log_lines, cases[i].text != NULL ? 2 : 1);
        tls_made_free(&soon);
        rig_free(&r);
    }
}

static void test_readable_key(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    assert_int_equal(chmod(r.key, 0640), 0); /* a group may be for that */
    assert_int_equal(chmod(r.chain, 0644), 0);
    rig_start(&r);
    assert_int_equal(r.env.log_lines, 1);
    assert_int_equal(chmod(r.key, 0644), 0);
    wst_tls_files_reload(r.files);
    test_env_until_count(&r.env, &r.configs, 1);
    assert_int_equal(r.env.log_lines, 3);
    assert_logged(&r, "key.pem: every user of this system may read it");
    rig_free(&r);
}

/* -- The end ----------------------------------------------------------------------------------- */

static void test_close_in_config(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    rig_start(&r);
    r.close_in_config = true;
    wst_tls_config_t *kept = wst_tls_config_ref(wst_tls_files_config(r.files));
    put_pair(&r, &r.second);
    pass(&r);
    test_env_until_count(&r.env, &r.closed, 1);
    assert_string_equal(subject_of(kept), "CN=first"); /* lives on */
    wst_tls_config_unref(kept);
    r.closed = 0;
    r.files = NULL;
    rig_free(&r);
}

static void test_close_before_reload(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    rig_start(&r);
    wst_tls_files_reload(r.files);
    close_files(&r);
    wst_tls_files_reload(r.files);
    test_env_until_count(&r.env, &r.closed, 1);
    assert_int_equal(r.configs, 0);
    r.closed = 0;
    r.files = NULL;
    rig_free(&r);
}

/* Without memory nothing is changed and nothing lost; the next look makes up for it. */
static void test_no_memory(void **state) {
    (void)state;
    rig_t r;
    size_t n = 0, live;
    bool failed;
    rig_open(&r);
    do {
        test_alloc_fail(++n);
        live = test_alloc_live();
        int status = wst_tls_files_new(&r.files, r.env.ctx, &r.options, NULL);
        failed = test_alloc_failed();
        test_alloc_fail(0);
        assert_int_equal(status, failed ? WST_ENOMEM : 0);
        if (failed)
            assert_int_equal(test_alloc_live(), live);
    } while (failed);
    assert_in_range(n, 5, 100);
    put_pair(&r, &r.second);
    n = 0;
    while (r.configs == 0) {
        test_alloc_fail(++n);
        pass(&r);
        assert_int_equal(r.configs, !test_alloc_failed());
        test_alloc_fail(0);
    }
    assert_in_range(n, 3, 100);
    rig_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_change),
        cmocka_unit_test(test_interval),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_client_ca),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_not_started),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_readable_key),
        cmocka_unit_test(test_close_in_config),
        cmocka_unit_test(test_close_before_reload),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
