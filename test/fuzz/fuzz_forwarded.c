/* SPDX-License-Identifier: MIT */
/*
 * What proxies, and whoever poses as one, say about a request's client. The input is a request's
 * header fields, as they stand in its head.
 *
 * Checked: X-Forwarded-For names the client that its elements name, each read alone; both fields
 * name the one that each names alone, or contradict each other; and whatever stands there, an
 * address that a trusted proxy appends, be it as a line of its own or behind a comma, is never
 * taken for another one, nor does a trusted proxy's own address change the answer. Each head is a
 * block of its own, so that ASan sees a read behind it.
 */
#include "forwarded.h"

#include "http_text.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIELDS_MAX = 4096, HEAD_MAX = FIELDS_MAX + 256 };

static const char standard[] = "Forwarded", common[] = "X-Forwarded-For";
static wst__trusted_t *trusted;

typedef struct answer {
    bool parsed; /* the head is one */
    bool any, has_standard, has_common;
    wst__forwarded_t found;
    wst__forwarded_client_t client;
} answer_t;

static void require(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "fuzz_forwarded: %s\n", what);
    abort();
}

static void set_up(void) {
    static const char *const texts[] = {"10.0.0.0/8", "2001:db8:1::/48", NULL};
    wst__trusted_error_t error;
    if (trusted == NULL)
        require(wst__trusted_new(&trusted, &wst__default_allocator, texts, &error) == 0,
                "no networks");
}

/* Of a head with these fields, which end with a line's end, and one more line. */
static answer_t ask(const char *fields, size_t len, const char *more) {
    static const char start[] = "GET http://a/ HTTP/1.1\r\nHost: a\r\n";
    answer_t a = {0};
    wst_http_head_t head;
    size_t scanned = 0, size = strlen(start) + len + strlen(more) + 2;
    char *text = malloc(size);
    require(text != NULL, "no memory");
    char *at = text;
    memcpy(at, start, strlen(start));
    memcpy(at += strlen(start), fields, len);
    memcpy(at += len, more, strlen(more));
    memcpy(at + strlen(more), "\r\n", 2);
    if (wst_http_parse_request(&head, text, size, &scanned, NULL) == (int)size) {
        a.parsed = true;
        a.any = wst__forwarded_any(&head);
        a.has_standard = wst_http_header(&head, standard, NULL) != NULL;
        a.has_common = wst_http_header(&head, common, NULL) != NULL;
        a.found = wst__forwarded_client(&a.client, &head, trusted);
    }
    free(text);
    return a;
}

static bool is_client(const answer_t *a, const wst__ip_t *ip, uint16_t port) {
    return a->found == WST__FORWARDED_FOUND && memcmp(&a->client.ip, ip, sizeof(*ip)) == 0 &&
           a->client.port == port;
}

static bool is_same(const answer_t *a, const answer_t *b) {
    return a->found == b->found &&
           (a->found != WST__FORWARDED_FOUND || is_client(a, &b->client.ip, b->client.port));
}

/* X-Forwarded-For, element by element, from the right ------------------------------------------ */

typedef struct hop {
    bool told;
    wst__forwarded_client_t client;
} hop_t;

/* One element, as the only one of a head. */
static hop_t read_hop(const char *text, size_t len) {
    char line[HEAD_MAX];
    int n = snprintf(line, sizeof(line), "%s: %.*s\r\n", common, (int)len, text);
    answer_t a = ask(line, (size_t)n, "");
    require(a.parsed, "a part of a field is none");
    require(a.found != WST__FORWARDED_CONTRADICTORY, "an element contradicts itself");
    return (hop_t){a.found == WST__FORWARDED_FOUND, a.client};
}

/* Adds what the elements of a field's value say, from the left, to a list. */
static void add_hops(hop_t *hops, size_t *count, wst_str_t value) {
    const char *end = value.ptr + value.len;
    for (const char *at = value.ptr; at <= end;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        size_t blank = 0;
        while (at + blank < stop && (at[blank] == ' ' || at[blank] == '\t'))
            blank++;
        if (at + blank < stop)
            hops[(*count)++] = read_hop(at, (size_t)(stop - at));
        at = stop + 1;
    }
}

static void check_common(const char *fields, size_t len, const answer_t *answer) {
    static hop_t hops[FIELDS_MAX];
    static const char start[] = "GET http://a/ HTTP/1.1\r\nHost: a\r\n";
    char text[HEAD_MAX];
    wst_http_head_t head;
    size_t scanned = 0, count = 0;
    int n = snprintf(text, sizeof(text), "%s%.*s\r\n", start, (int)len, fields);
    require(wst_http_parse_request(&head, text, (size_t)n, &scanned, NULL) == n, "no head");
    const wst_http_header_t *field = NULL;
    while ((field = wst_http_header(&head, common, field)) != NULL)
        add_hops(hops, &count, field->value);
    const hop_t *client = NULL; /* the first from the right that is not trusted, or the last one */
    for (size_t i = count; i > 0 && hops[i - 1].told; i--) {
        client = &hops[i - 1];
        if (!wst__trusted_has(trusted, &client->client.ip))
            break;
    }
    require(client != NULL ? is_client(answer, &client->client.ip, client->client.port)
                           : answer->found == WST__FORWARDED_NONE,
            "not the client that the elements name");
}

/* Both fields ---------------------------------------------------------------------------------- */

/* The lines but for the fields of this name. */
static size_t without(char *out, const char *fields, size_t len, const char *name) {
    const char *end = fields + len;
    size_t n = 0;
    for (const char *at = fields; at < end;) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        const char *next = line_end != NULL ? line_end + 1 : end;
        size_t size = (size_t)(next - at);
        bool named = size > strlen(name) && at[strlen(name)] == ':' &&
                     wst_str_ieq((wst_str_t){at, strlen(name)}, name);
        if (!named) {
            memcpy(out + n, at, size);
            n += size;
        }
        at = next;
    }
    return n;
}

/* The client is the one that each of them names alone, or neither counts. */
static void check_both(const char *fields, size_t len, const answer_t *answer) {
    char part[HEAD_MAX];
    answer_t first = ask(part, without(part, fields, len, common), "");
    answer_t second = ask(part, without(part, fields, len, standard), "");
    require(first.parsed && second.parsed, "no head with one of the fields");
    if (first.found == second.found &&
        (first.found == WST__FORWARDED_NONE ||
         memcmp(&first.client.ip, &second.client.ip, sizeof(wst__ip_t)) == 0))
        require(is_same(answer, &first), "not the client that both fields name");
    else
        require(answer->found == WST__FORWARDED_CONTRADICTORY, "a contradiction is not seen");
}

/* What proxies append -------------------------------------------------------------------------- */

/* A line of its own: nothing before it can change what it says. */
static void check_line(const char *fields, size_t len, const answer_t *before) {
    static const char *const lines[] = {"Forwarded: for=\"192.0.2.77:4711\"\r\n",
                                        "X-Forwarded-For: 192.0.2.77:4711\r\n"};
    static const char *const trusted_lines[] = {"Forwarded: for=10.1.2.3\r\n",
                                                "X-Forwarded-For: 10.1.2.3\r\n"};
    wst__ip_t ip;
    require(wst__ip_parse(&ip, "192.0.2.77", 10), "no address");
    for (size_t i = 0; i < 2; i++) {
        bool alone = i == 0 ? !before->has_common : !before->has_standard;
        answer_t after = ask(fields, len, lines[i]);
        if (!after.parsed) /* too many fields */
            continue;
        require(is_client(&after, &ip, 4711) ||
                    (!alone && after.found == WST__FORWARDED_CONTRADICTORY) ||
                    (!alone && memcmp(&after.client.ip, &ip, sizeof(ip)) == 0),
                "a client hides what a proxy tells");
        after = ask(fields, len, trusted_lines[i]);
        bool there = i == 0 ? before->has_standard : before->has_common;
        if (after.parsed && alone && there && before->found == WST__FORWARDED_FOUND)
            require(is_same(before, &after), "a trusted hop changes the answer");
    }
}

/* Behind a comma in the last line: a quote that a client left open may take it in, and then no
 * client is told; but never another one. */
static void check_comma(const char *fields, size_t len, const answer_t *before) {
    wst__ip_t ip;
    require(wst__ip_parse(&ip, "192.0.2.77", 10), "no address");
    if (before->has_standard == before->has_common)
        return;
    const char *more = before->has_standard ? ", for=192.0.2.77\r\n" : ", 192.0.2.77\r\n";
    answer_t after = ask(fields, len - 2, more);
    if (!after.parsed)
        return;
    /* The last line may be another field. */
    require(is_client(&after, &ip, 0) || is_same(before, &after) ||
                after.found == WST__FORWARDED_NONE,
            "a client takes in what a proxy appends");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *fields = (const char *)data;
    char all[FIELDS_MAX + 2];
    if (size > FIELDS_MAX)
        return 0;
    set_up();
    memcpy(all, fields, size);
    memcpy(all + size, "\r\n", 2);
    size_t len = size > 0 ? size + 2 : 0;
    answer_t answer = ask(all, len, "");
    if (!answer.parsed)
        return 0;
    require(answer.found == WST__FORWARDED_NONE || answer.any, "a client without a field");
    require(answer.found != WST__FORWARDED_CONTRADICTORY ||
                (answer.has_standard && answer.has_common),
            "one field contradicts itself");
    if (!answer.has_standard)
        check_common(all, len, &answer);
    if (answer.has_standard && answer.has_common)
        check_both(all, len, &answer);
    check_line(all, len, &answer);
    if (len > 0)
        check_comma(all, len, &answer);
    return 0;
}
