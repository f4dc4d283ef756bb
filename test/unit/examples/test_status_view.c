/* SPDX-License-Identifier: MIT */
/* The table of `wstunnel-server status`: a status goes in, the text of a screen comes out. */
#include "support.h"

#include "screen.h"
#include "status_data.h"
#include "status_view.h"
#include "terminal.h"

#include <locale.h>
#include <stdio.h>

typedef struct rig {
    status_data_t data;
    status_view_t view;
    screen_t screen;
    char text[1 << 20];
} rig_t;

static void rig_open(rig_t *r, const char *json) {
    const char *why = NULL;
    *r = (rig_t){.view.address = "unix:/run/admin"};
    if (!status_data_read(&r->data, json, strlen(json), &why))
        fail_msg("%s", why);
}

static void rig_close(rig_t *r) {
    status_data_free(&r->data);
    screen_free(&r->screen);
}

static const char *draw(rig_t *r, size_t rows, size_t columns) {
    status_view_draw(&r->screen, &r->view, &r->data, rows, columns);
    assert_false(r->screen.failed);
    assert_true(r->screen.len < sizeof(r->text));
    memcpy(r->text, r->screen.text, r->screen.len);
    r->text[r->screen.len] = '\0';
    return r->text;
}

static bool press(rig_t *r, const char *keys) {
    size_t len = strlen(keys);
    while (len > 0)
        if (!status_view_press(&r->view, terminal_key(&keys, &len)))
            return false;
    return true;
}

/* Whether the texts are there, in this order; the list ends with NULL. */
static void in_order(const char *text, const char *const *parts) {
    for (const char *at = text; *parts != NULL; parts++) {
        const char *found = strstr(at, *parts);
        if (found == NULL)
            fail_msg("'%s' is not there, or not in order:\n%s", *parts, text);
        at = found + strlen(*parts);
    }
}

static void lacks(const char *text, const char *part) {
    if (strstr(text, part) != NULL)
        fail_msg("'%s' is there:\n%s", part, text);
}

#define ORDER(text, ...) in_order(text, (const char *const[]){__VA_ARGS__, NULL})

static const char whole[] =
    "{\"version\":\"9.8.7\",\"uptime_ms\":93784000,\"draining\":false,\n\"agents\":[\n"
    "{\"name\":\"berlin\",\"address\":\"192.0.2.7:4711\",\"software\":\"libwstunnel/"
    "9\",\"state\":\"ready\","
    "\"sessions\":2,\"uptime_ms\":61000,\"rtt_ms\":17,\"streams\":3,\"bytes_to_agent\":10,"
    "\"bytes_to_client\":2048},\n"
    "{\"name\":\"paris\",\"state\":\"suspended\",\"rtt_ms\":null,\"sessions\":1}],\n"
    "\"gone\":[],\n\"flows\":[\n"
    "{\"id\":1,\"user\":\"zoe\",\"client\":\"127.0.0.1:1\",\"destination\":\"a.test:80\","
    "\"agent\":\"berlin\",\"age_ms\":5000,\"bytes_to_agent\":1,\"bytes_to_client\":1,\"rate\":10,"
    "\"state\":\"relaying\"},\n"
    "{\"id\":2,\"user\":\"bob\",\"client\":\"127.0.0.1:2\",\"destination\":\"c.test:80\","
    "\"agent\":\"berlin\",\"age_ms\":9000,\"bytes_to_agent\":0,\"bytes_to_client\":1,"
    "\"rate\":2000000,\"state\":\"relaying\"},\n"
    "{\"id\":null,\"user\":\"ann\",\"client\":\"127.0.0.1:3\",\"destination\":\"b.test:80\","
    "\"agent\":\"\",\"age_ms\":100,\"bytes_to_agent\":0,\"bytes_to_client\":99999999,\"rate\":0,"
    "\"state\":\"dialling\"}],\n"
    "\"health\":{\"certificate_days\":80,\"memory_used\":1048576,\"memory_limit\":268435456,"
    "\"descriptors\":33,\"descriptors_limit\":65536,\"refusals\":{\"x-denied\":2,\"none\":0,"
    "\"y-limit\":7},\"dial_p50_ms\":1.25,\"dial_p99_ms\":1500,\"round_trip_p50_ms\":null,"
    "\"round_trip_p99_ms\":null},\n"
    "\"totals\":{\"refused\":9,\"streams_opened\":12,\"bytes_to_agents\":5,\"bytes_to_clients\":"
    "3072}}"
    "\n";

static void test_whole(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, whole);
    ORDER(draw(&r, 0, 0), "wstunnel-server 9.8.7, up 1d02h, at unix:/run/admin\n",
          "agents 2, 1 suspended; flows 3, 1 opening, 1.9 MiB/s; in all 12, 5 B to agents, 3.0 KiB "
          "to clients\n",
          "memory 1.0 MiB of 256 MiB; dial p50 1.2 ms, p99 1.5 s; round trip -, -; descriptors 33 "
          "of 65536; certificate 80 days\n",
          "refused 9: y-limit 7, x-denied 2\n", "AGENT", "SOFTWARE\n", "berlin ready", "17 ms",
          "paris  suspended", "DESTINATION USER", "c.test:80", "bob ", "1.9 MiB/s", "a.test:80",
          "b.test:80", "95.4 MiB", "dialling", "-\n");
    lacks(r.text, "none");
    lacks(r.text, "quit");
    lacks(r.text, " \n");
    rig_close(&r);
}

static void test_sorts(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, whole);
    ORDER(draw(&r, 24, 100), "c.test", "a.test", "b.test", "by rate");
    assert_true(press(&r, "s"));
    ORDER(draw(&r, 24, 100), "b.test", "a.test", "c.test", "by bytes");
    assert_true(press(&r, "s"));
    ORDER(draw(&r, 24, 100), "c.test", "a.test", "b.test", "by age");
    assert_true(press(&r, "s"));
    ORDER(draw(&r, 24, 100), "b.test", "c.test", "a.test", "by user");
    assert_true(press(&r, "s"));
    ORDER(draw(&r, 24, 100), "a.test", "b.test", "c.test", "by destination");
    assert_true(press(&r, "s"));
    ORDER(draw(&r, 24, 100), "by rate");
    assert_true(press(&r, "b"));
    ORDER(draw(&r, 24, 100), "by bytes");
    assert_true(press(&r, "rua"));
    ORDER(draw(&r, 24, 100), "by age");
    assert_true(press(&r, "d"));
    ORDER(draw(&r, 24, 100), "by destination");
    assert_false(press(&r, "q"));
    rig_close(&r);
}

static void test_filters(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, whole);
    assert_true(press(&r, "/Zq"));
    ORDER(draw(&r, 24, 100), "TO CLIENT", "DESTINATION", "/Zq_");
    lacks(r.text, "c.test");
    assert_true(press(&r, "\x7fOE\r"));
    ORDER(draw(&r, 24, 100), "a.test", "flows 1-1 of 1 by rate, of ZOE");
    lacks(r.text, "c.test");
    assert_true(press(&r, "\033"));
    ORDER(draw(&r, 24, 100), "c.test", "a.test", "b.test", "flows 1-3 of 3 by rate ");
    assert_true(press(&r, "/x\xc3\xa4\x7f\x7f\x7f\x7fsqj\033"));
    assert_string_equal(r.view.filter, "");
    assert_int_equal(r.view.order, STATUS_BY_RATE);
    for (int i = 0; i < 100; i++)
        assert_true(press(&r, i == 0 ? "/" : "y"));
    assert_int_equal(strlen(r.view.filter), STATUS_FILTER_MAX);
    ORDER(draw(&r, 24, 100), "/yyy");
    rig_close(&r);
}

/* As many flows as that, "d<number>.test:1", the first one being the fastest. */
static void rig_open_crowd(rig_t *r, size_t count) {
    static char json[1 << 20];
    size_t len = (size_t)snprintf(json, sizeof(json), "{\"agents\":[");
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(json + len, sizeof(json) - len, "%s{\"name\":\"a%zu.\"}",
                                i > 0 ? "," : "", i);
    len += (size_t)snprintf(json + len, sizeof(json) - len, "],\"flows\":[");
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(json + len, sizeof(json) - len,
                                "%s{\"id\":%zu,\"destination\":\"d%zu.test:1\",\"rate\":%zu}",
                                i > 0 ? "," : "", i + 1, i, 1000000 - i);
    snprintf(json + len, sizeof(json) - len, "]}");
    rig_open(r, json);
}

static void test_scrolls(void **state) {
    (void)state;
    rig_t r;
    rig_open_crowd(&r, 1000);
    ORDER(draw(&r, 24, 100), "a0.", "DESTINATION", "d0.test", "flows 1-");
    lacks(r.text, "d20.test");
    assert_int_equal(r.screen.row, 24);
    assert_true(press(&r, "jj\033[Bk"));
    ORDER(draw(&r, 24, 100), "d2.test", "flows 3-");
    lacks(r.text, "d1.test");
    size_t page = r.view.page;
    assert_true(press(&r, "\033[6~"));
    draw(&r, 24, 100);
    assert_int_equal(r.view.first, 2 + page);
    assert_true(press(&r, "\033[5~\033[5~\033OA"));
    draw(&r, 24, 100);
    assert_int_equal(r.view.first, 0);
    assert_true(press(&r, "G"));
    ORDER(draw(&r, 24, 100), "d999.test", "-1000 of 1000");
    assert_true(press(&r, "jjj\033[F"));
    ORDER(draw(&r, 24, 100), "d999.test");
    assert_true(press(&r, "g"));
    ORDER(draw(&r, 24, 100), "d0.test");
    assert_true(press(&r, "\tG"));
    ORDER(draw(&r, 24, 100), "a999.", "DESTINATION", "d0.test", "agents ", "of 1000");
    rig_close(&r);
}

/* Control characters of names, whoever made them, are made harmless. */
static void test_hostile_names(void **state) {
    (void)state;
    static const char json[] =
        "{\"version\":\"\\u001b[2J\",\"agents\":[{\"name\":\"\\u001b]0;x\\u0007\",\"state\":"
        "\"a\\nb\"}],"
        "\"flows\":[{\"id\":1,\"user\":\"\\u202egnp\",\"destination\":\"\\r\\u0085\\t\\u007f\","
        "\"client\":\"\\u009b31m\",\"agent\":\"\\u2028\"}],\"health\":{\"refusals\":{"
        "\"\\u001bc\":1}},\"totals\":{}}";
    rig_t r;
    rig_open(&r, json);
    r.view.trouble = "\033[31mred";
    for (size_t columns = 0; columns < 250; columns += 50) {
        draw(&r, 30, columns);
        for (const char *at = r.text; *at != '\0'; at++)
            assert_true((unsigned char)*at >= ' ' || *at == '\n');
        lacks(r.text, "\x7f");
        lacks(r.text, "\xc2\x85");
        lacks(r.text, "\xc2\x9b");
        lacks(r.text, "\xe2\x80\xae");
        lacks(r.text, "\xe2\x80\xa8");
    }
    ORDER(draw(&r, 0, 0), "\\u001b[2J", "\\u001bc 1", "\\u001b]0;x\\u0007", "a\\u000ab",
          "\\u000d\\u0085\\u0009\\u007f", "\\u202egnp", "\\u2028", "\\u009b31m");
    rig_close(&r);
}

/* The column of the screen where the first `text` is. */
static size_t column_of(const char *lines, const char *text) {
    char line[1024];
    const char *found = strstr(lines, text), *begin = found;
    assert_non_null(found);
    while (begin > lines && begin[-1] != '\n')
        begin--;
    snprintf(line, sizeof(line), "%.*s", (int)(found - begin), begin);
    return screen_width(line);
}

/* Characters that are wide, or add nothing to the width, keep the columns where they are. */
static void test_wide_names(void **state) {
    (void)state;
    static const char json[] =
        "{\"agents\":[{\"name\":\"\u4e2d\u6587\u4e2d\u6587\u4e2d\u6587\u4e2d\u6587\u4e2d\u6587"
        "\u4e2d\u6587\u4e2d\u6587\u4e2d\u6587\u4e2d\u6587\",\"state\":\"one\"},"
        "{\"name\":\"e\u0301a\",\"state\":\"two\"}],\"flows\":[]}";
    rig_t r;
    rig_open(&r, json);
    draw(&r, 24, 60);
    assert_int_equal(column_of(r.text, " one"), column_of(r.text, " two"));
    assert_int_equal(screen_width("\u4e2d\u6587"), 4);
    assert_int_equal(screen_width("e\u0301a"), 2);
    assert_int_equal(screen_width("\xff"), 4); /* \xff */
    rig_close(&r);
}

/* No line is too long, and no screen too high, whatever the size. */
static void test_sizes(void **state) {
    (void)state;
    rig_t small, crowd, *const rigs[] = {&small, &crowd};
    rig_open(&small, whole);
    rig_open_crowd(&crowd, 50);
    for (size_t i = 0; i < 2; i++) {
        rig_t *r = rigs[i];
        for (size_t rows = 1; rows < 40; rows++) {
            for (size_t columns = 1; columns < 200; columns += columns < 30 ? 1 : 13) {
                r->view.agents = (rows + columns) % 2 == 0;
                draw(r, rows, columns);
                assert_int_equal(r->screen.row, rows);
                for (char *line = strtok(r->text, "\n"); line != NULL; line = strtok(NULL, "\n"))
                    assert_true(screen_width(line) <= columns);
            }
        }
    }
    draw(&crowd, 100000, 100000);
    assert_int_equal(crowd.screen.row, SCREEN_ROWS_MAX);
    rig_close(&small);
    rig_close(&crowd);
}

static void test_narrow(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, whole);
    ORDER(draw(&r, 24, 80), "DESTINATION", "USER", "AGENT", "RATE", "TO AGENT", "TO CLIENT", "AGE");
    lacks(r.text, "127.0.0.1:2");
    ORDER(draw(&r, 24, 120), "127.0.0.1:2");
    ORDER(draw(&r, 24, 40), "DESTINATION", "RATE");
    lacks(r.text, "USER");
    ORDER(draw(&r, 24, 12), "DESTINATION", "c.test:80");
    ORDER(draw(&r, 24, 6), "DESTI~", "c.tes~");
    rig_close(&r);
}

static void test_trouble(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, whole);
    r.view.trouble = "connection refused";
    r.view.trouble_ms = 65000;
    ORDER(draw(&r, 24, 100), "c.test", "this was 1m05s ago: connection refused\n");
    rig_close(&r);
}

/* An operator of one tenant gets no figures of the whole server; other releases lack members. */
static void test_parts(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, "{\"agents\":[],\"flows\":[{}],\"draining\":true}");
    ORDER(draw(&r, 24, 100), ", draining", "flows 1, 1 opening");
    lacks(r.text, "memory");
    lacks(r.text, "refused");
    rig_close(&r);
}

static void test_no_status(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        "[]",
                                        "{}",
                                        "<html>",
                                        "{\"agents\":[]}",
                                        "{\"agents\":{},\"flows\":[]}",
                                        "{\"agents\":[],\"flows\":[]",
                                        "{\"agents\":[],\"flows\":[[[[[[[[[[]]]]]]]]]]}",
                                        "{\"agents\":[],\"agents\":[],\"flows\":[]}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        status_data_t data;
        const char *why = NULL;
        assert_false(status_data_read(&data, texts[i], strlen(texts[i]), &why));
        assert_non_null(why);
    }
}

/* Members of other kinds than expected, and numbers out of range. */
static void test_odd_members(void **state) {
    (void)state;
    rig_t r;
    rig_open(
        &r,
        "{\"version\":7,\"uptime_ms\":-1,\"agents\":[1,null,\"x\",{\"name\":[],\"rtt_ms\":1e300}],"
        "\"flows\":[{\"id\":\"x\",\"rate\":1e300,\"age_ms\":1e300,\"bytes_to_agent\":-5}],"
        "\"health\":{\"refusals\":{\"a\":\"b\",\"c\":1e300},\"dial_p50_ms\":1e300,"
        "\"memory_used\":1e300},\"totals\":{\"refused\":true}}");
    draw(&r, 0, 0);
    for (size_t columns = 1; columns < 200; columns++)
        draw(&r, 24, columns);
    rig_close(&r);
}

static void test_keys(void **state) {
    (void)state;
    static const struct {
        const char *typed;
        int key;
    } keys[] = {{"a", 'a'},
                {"\xc3", 0xc3},
                {"\033", TERMINAL_ESCAPE},
                {"\033[A", TERMINAL_UP},
                {"\033OB", TERMINAL_DOWN},
                {"\033[1~", TERMINAL_HOME},
                {"\033[8~", TERMINAL_END},
                {"\033[1;5C", TERMINAL_UNKNOWN},
                {"\033[", TERMINAL_UNKNOWN},
                {"\033[99999999999999999999~", TERMINAL_UNKNOWN},
                {"\r", TERMINAL_ENTER},
                {"\t", TERMINAL_TAB},
                {"\b", TERMINAL_BACKSPACE},
                {"\x7f", TERMINAL_BACKSPACE}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *typed = keys[i].typed;
        size_t len = strlen(typed);
        assert_int_equal(terminal_key(&typed, &len), keys[i].key);
        assert_int_equal(len, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),         cmocka_unit_test(test_sorts),
        cmocka_unit_test(test_filters),       cmocka_unit_test(test_scrolls),
        cmocka_unit_test(test_hostile_names), cmocka_unit_test(test_wide_names),
        cmocka_unit_test(test_sizes),         cmocka_unit_test(test_narrow),
        cmocka_unit_test(test_trouble),       cmocka_unit_test(test_parts),
        cmocka_unit_test(test_no_status),     cmocka_unit_test(test_odd_members),
        cmocka_unit_test(test_keys),
    };
    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
        return 77; /* widths are those of the locale */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
