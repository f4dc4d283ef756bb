/* SPDX-License-Identifier: MIT */
/* Rules (rules.h): patterns are parsed once, into one list per rule; deciding allocates nothing. */
#include "destinations.h"
#include "glob.h"
#include "mem.h"
#include "networks.h"
#include "sized.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>
#include <wstunnel/rules.h>

enum { PORT_RANGES_MAX = 16, HOST_MAX = 255, V4_PREFIX = 96, NAT64_MAX = 16 };

typedef struct pattern {
    enum { USER, AGENT, LABEL, HOST, NETWORK } kind;
    char *text;        /* NULL for networks; hosts in lower case without a final dot */
    wst__ip_t network; /* the address of a network, ... */
    unsigned prefix;   /* ... of 128 bits */
    wst__port_range_t ports[PORT_RANGES_MAX];
    size_t port_count; /* 0: any */
} pattern_t;

typedef struct rule {
    bool allow;
    bool any_user, any_agent, any_destination;
    pattern_t *patterns;
    size_t count;
} rule_t;

struct wst_rules {
    const wst_allocator_t *allocator;
    bool deny_by_default;
    wst__nat64_t nat64[NAT64_MAX];
    size_t nat64_count;
    rule_t *rules;
    size_t count;
};

/* Reading ------------------------------------------------------------------------------------ */

static char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Takes a decimal number of at most `max` off *text. */
static bool take_number(wst_str_t *text, unsigned max, unsigned *out) {
    unsigned value = 0;
    size_t n = 0;
    while (n < text->len && n < 6 && is_digit(text->ptr[n]))
        value = value * 10 + (unsigned)(text->ptr[n++] - '0');
    if (n == 0 || value > max)
        return false;
    *text = (wst_str_t){text->ptr + n, text->len - n};
    *out = value;
    return true;
}

static bool take_char(wst_str_t *text, char c) {
    if (text->len == 0 || text->ptr[0] != c)
        return false;
    text->ptr++;
    text->len--;
    return true;
}

/* This and the following functions return NULL or an error text. */
static const char *read_ports(pattern_t *p, wst_str_t text) {
    if (text.len == 1 && text.ptr[0] == '*')
        return NULL;
    do {
        unsigned first, last;
        if (!take_number(&text, UINT16_MAX, &first) || first == 0)
            return "ports must be numbers from 1 to 65535, ranges of them, or *";
        last = first;
        if (take_char(&text, '-') && (!take_number(&text, UINT16_MAX, &last) || last < first))
            return "not a range of ports";
        if (p->port_count == PORT_RANGES_MAX)
            return "more than 16 ranges of ports";
        p->ports[p->port_count].first = (uint16_t)first;
        p->ports[p->port_count++].last = (uint16_t)last;
    } while (take_char(&text, ','));
    return text.len == 0 ? NULL : "text behind the ports";
}

/* Whether a pattern is meant for addresses but is none: as a pattern of names it would match
 * nothing, or unintended names ("10.*"). Numeric hosts are always refused. */
static bool resembles_address(wst_str_t host) {
    bool dot = false, other = false;
    for (size_t i = 0; i < host.len; i++) {
        dot = dot || host.ptr[i] == '.';
        other = other || host.ptr[i] == '*' || host.ptr[i] == '-';
        if (!is_digit(host.ptr[i]) && strchr(".*-", host.ptr[i]) == NULL)
            return false;
    }
    return host.len > 0 && is_digit(host.ptr[0]) && (dot || !other);
}

static const char *check_host(wst_str_t host) {
    if (host.len == 0)
        return "no host";
    if (host.len > HOST_MAX)
        return "host name too long";
    if (resembles_address(host))
        return "not an address, nor a network such as 10.0.0.0/8";
    for (size_t i = 0; i < host.len; i++) {
        char c = to_lower(host.ptr[i]);
        if (!(c >= 'a' && c <= 'z') && !is_digit(c) && strchr("-_.*", c) == NULL &&
            (unsigned char)c < 0x80)
            return "character not allowed in a host name";
    }
    return NULL;
}

/* Cuts "HOST:PORTS"; the colons of an IPv6 address without brackets do not count. */
static void cut_ports(wst_str_t text, wst_str_t *host, wst_str_t *ports) {
    const char *end = text.ptr + text.len;
    const char *close = text.len > 0 && text.ptr[0] == '[' ? memchr(text.ptr, ']', text.len) : NULL;
    const char *from = close != NULL ? close : text.ptr;
    const char *colon = memchr(from, ':', (size_t)(end - from));
    if (colon != NULL && close == NULL && memchr(colon + 1, ':', (size_t)(end - colon) - 1) != NULL)
        colon = NULL;
    *host = (wst_str_t){text.ptr, (size_t)((colon != NULL ? colon : end) - text.ptr)};
    *ports = colon != NULL ? (wst_str_t){colon + 1, (size_t)(end - colon) - 1} : (wst_str_t){0};
}

/* Reads an address or a network; false if the host is a name. */
static bool read_network(pattern_t *p, wst_str_t host, const char **why) {
    const char *slash = memchr(host.ptr, '/', host.len);
    wst_str_t address = {host.ptr, slash != NULL ? (size_t)(slash - host.ptr) : host.len};
    bool brackets = address.len >= 2 && address.ptr[0] == '[';
    if (brackets && address.ptr[address.len - 1] == ']')
        address = (wst_str_t){address.ptr + 1, address.len - 2};
    if (memchr(address.ptr, '%', address.len) != NULL ||
        !wst__ip_parse(&p->network, address.ptr, address.len)) {
        *why = slash != NULL || brackets ? "not an address" : NULL;
        return *why != NULL;
    }
    p->kind = NETWORK;
    p->prefix = 128;
    *why = NULL;
    if (slash != NULL)
        *why =
            wst__ip_read_prefix(&p->prefix, &p->network,
                                (wst_str_t){slash + 1, (size_t)(host.ptr + host.len - slash) - 1});
    return true;
}

/* Sets *text to the part to keep, or to NULL. */
static const char *read_destination(pattern_t *p, wst_str_t *text) {
    wst_str_t host, ports;
    cut_ports(*text, &host, &ports);
    const char *why;
    *text = (wst_str_t){0};
    if (!read_network(p, host, &why)) {
        p->kind = HOST;
        why = check_host(host);
        *text = host;
        if (host.len > 1 && host.ptr[host.len - 1] == '.')
            text->len--;
        while (text->len > 1 && memcmp(text->ptr, "**", 2) == 0)
            *text = (wst_str_t){text->ptr + 1, text->len - 1}; /* "**" is "*" */
    }
    return why == NULL && ports.ptr != NULL ? read_ports(p, ports) : why;
}

static const char *read_pattern(pattern_t *p, int kind, wst_str_t *text) {
    static const char label[] = "label:";
    if (kind == HOST)
        return read_destination(p, text);
    p->kind = kind == USER ? USER : AGENT;
    if (kind == AGENT && text->len >= strlen(label) &&
        memcmp(text->ptr, label, strlen(label)) == 0) {
        p->kind = LABEL;
        *text = (wst_str_t){text->ptr + strlen(label), text->len - strlen(label)};
    }
    return NULL;
}

/* Copies the text; hosts in lower case. */
static int keep_pattern_text(wst_rules_t *r, pattern_t *p, wst_str_t text) {
    if (text.ptr == NULL)
        return 0;
    p->text = wst__alloc(r->allocator, text.len + 1);
    if (p->text == NULL)
        return WST_ENOMEM;
    for (size_t i = 0; i < text.len; i++)
        p->text[i] = p->kind == HOST ? to_lower(text.ptr[i]) : text.ptr[i];
    p->text[text.len] = '\0';
    return 0;
}

static int add_patterns(wst_rules_t *r, rule_t *rule, int kind, const char *const *list,
                        wst_rules_error_t *error) {
    for (; list != NULL && *list != NULL; list++) {
        pattern_t *p = &rule->patterns[rule->count++];
        wst_str_t text = {*list, strlen(*list)};
        const char *why = read_pattern(p, kind, &text);
        if (why != NULL) {
            error->pattern = *list;
            error->why = why;
            return WST_EINVAL;
        }
        if (keep_pattern_text(r, p, text) != 0)
            return WST_ENOMEM;
    }
    return 0;
}

static size_t count_of(const char *const *list) {
    size_t n = 0;
    while (list != NULL && list[n] != NULL)
        n++;
    return n;
}

static int add_rule(wst_rules_t *r, const wst_rule_t *given, wst_rules_error_t *error) {
    size_t count = count_of(given->users) + count_of(given->agents) + count_of(given->destinations);
    rule_t *rule = &r->rules[r->count++];
    *rule = (rule_t){.allow = given->allow,
                     .any_user = given->users == NULL,
                     .any_agent = given->agents == NULL,
                     .any_destination = given->destinations == NULL};
    if (count == 0)
        return 0;
    rule->patterns = wst__zalloc(r->allocator, count * sizeof(*rule->patterns));
    if (rule->patterns == NULL)
        return WST_ENOMEM;
    int status = add_patterns(r, rule, USER, given->users, error);
    if (status == 0)
        status = add_patterns(r, rule, AGENT, given->agents, error);
    if (status == 0)
        status = add_patterns(r, rule, HOST, given->destinations, error);
    return status;
}

/* Reads "2001:db8:64::/96". False: it is no prefix of RFC 6052. */
static bool read_nat64(wst__nat64_t *out, const char *text) {
    pattern_t p = {0};
    const char *why;
    if (!read_network(&p, (wst_str_t){text, strlen(text)}, &why) || why != NULL)
        return false;
    *out = (wst__nat64_t){p.network, p.prefix};
    return wst__nat64_is_valid(out);
}

static int add_nat64(wst_rules_t *r, const char *const *list, wst_rules_error_t *error) {
    for (; list != NULL && *list != NULL; list++) {
        error->pattern = *list;
        error->why = r->nat64_count == NAT64_MAX
                         ? "more than 16 prefixes of NAT64"
                         : "not a prefix of NAT64, such as 2001:db8:64::/96, with a length of 32, "
                           "40, 48, 56, 64 or 96";
        if (r->nat64_count == NAT64_MAX || !read_nat64(&r->nat64[r->nat64_count], *list))
            return WST_EINVAL;
        r->nat64_count++;
    }
    return 0;
}

int wst_rules_new(wst_rules_t **out, const wst_rules_options_t *given, wst_rules_error_t *error) {
    wst_rules_options_t options;
    wst_rules_error_t ignored;
    wst_rule_t rule;
    if (error == NULL)
        error = &ignored;
    *error = (wst_rules_error_t){.why = "a struct's size is not set"};
    if (wst__sized_read(&options, sizeof(options), given) != 0)
        return WST_EINVAL;
    const wst_allocator_t *a =
        options.allocator != NULL ? options.allocator : &wst__default_allocator;
    wst_rules_t *r = wst__zalloc(a, sizeof(*r));
    if (r == NULL)
        return WST_ENOMEM;
    r->allocator = a;
    r->deny_by_default = options.deny_by_default;
    int status = 0;
    if (options.count > 0) {
        r->rules = wst__zalloc(a, options.count * sizeof(*r->rules));
        status = r->rules != NULL ? 0 : WST_ENOMEM;
    }
    for (size_t i = 0; i < options.count && status == 0; i++) {
        error->rule = i;
        status = wst__sized_read_at(&rule, sizeof(rule), options.rules, i);
        if (status == 0)
            status = add_rule(r, &rule, error);
    }
    if (status == 0) {
        error->rule = options.count;
        status = add_nat64(r, options.nat64, error);
    }
    if (status != 0)
        wst_rules_free(r);
    else
        *out = r;
    return status;
}

void wst_rules_free(wst_rules_t *r) {
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->count; i++) {
        for (size_t k = 0; k < r->rules[i].count; k++)
            wst__free(r->allocator, r->rules[i].patterns[k].text);
        wst__free(r->allocator, r->rules[i].patterns);
    }
    wst__free(r->allocator, r->rules);
    wst__free(r->allocator, r);
}

bool wst__rules_destination(const wst_rules_t *r, size_t rule, size_t n, wst__destination_t *out) {
    if (n >= r->rules[rule].count)
        return false;
    const pattern_t *p = &r->rules[rule].patterns[n];
    *out = (wst__destination_t){.name = p->text,
                                .network = p->network,
                                .prefix = p->prefix,
                                .ports = p->ports,
                                .port_count = p->port_count};
    return true;
}

/* Deciding ----------------------------------------------------------------------------------- */

/* A query, parsed once. */
typedef struct asked {
    const wst_rules_query_t *query;
    size_t host_len;
    bool literal;                       /* the host is an address */
    bool has_address;                   /* the query gives it, or the host is one */
    bool never;                         /* the address will never be known */
    wst__ip_t given;                    /* the address as it was written */
    wst__ip_t targets[WST__IP_TARGETS]; /* where it leads */
    size_t target_count;
} asked_t;

typedef enum match { NO, PERHAPS, YES } match_t;

static match_t either(match_t a, match_t b) {
    return a > b ? a : b;
}

static match_t both(match_t a, match_t b) {
    return a < b ? a : b;
}

static match_t yes_if(bool condition) {
    return condition ? YES : NO;
}

static bool port_matches(const pattern_t *p, uint16_t port) {
    bool found = p->port_count == 0;
    for (size_t i = 0; i < p->port_count; i++)
        found = found || (p->ports[i].first <= port && port <= p->ports[i].last);
    return found;
}

/* "::/0" does not contain IPv4 addresses, though they are stored as IPv6 ones. */
static bool is_within(const wst__ip_t *ip, const pattern_t *p) {
    return wst__ip_is_v4(ip) == wst__ip_is_v4(&p->network) &&
           wst__ip_within(ip, &p->network, p->prefix);
}

/* Assumes the worst of an address that will never be known, or that may lead to several others: to
 * be allowed they must all match, to be denied one is enough, or the address as it was given. */
static match_t network_matches(const pattern_t *p, const asked_t *a, bool allow) {
    if (!a->has_address)
        return a->never ? yes_if(!allow) : PERHAPS;
    size_t matching = 0;
    for (size_t i = 0; i < a->target_count; i++)
        matching += is_within(&a->targets[i], p);
    return yes_if(allow ? matching == a->target_count : matching > 0 || is_within(&a->given, p));
}

static match_t destination_matches(const pattern_t *p, const asked_t *a, bool allow) {
    if (!port_matches(p, a->query->port))
        return NO;
    if (p->kind == NETWORK)
        return network_matches(p, a, allow);
    /* A pattern such as "1*" is for names; it does not match addresses. */
    if (a->literal)
        return yes_if(strcmp(p->text, "*") == 0);
    return yes_if(wst__glob_fold(p->text, (wst_str_t){a->query->host, a->host_len}));
}

static match_t label_matches(const pattern_t *p, const wst_rules_query_t *q) {
    bool found = false;
    for (const char *const *l = q->labels; l != NULL && *l != NULL; l++)
        found = found || wst__glob(p->text, (wst_str_t){*l, strlen(*l)});
    return yes_if(found);
}

static match_t name_matches(const pattern_t *p, const char *name) {
    return name == NULL ? PERHAPS : yes_if(wst__glob(p->text, (wst_str_t){name, strlen(name)}));
}

/* Whether the rule is for the query's user and agent. */
static match_t rule_applies(const rule_t *rule, const wst_rules_query_t *q) {
    match_t user = yes_if(rule->any_user), agent = yes_if(rule->any_agent);
    for (size_t i = 0; i < rule->count; i++) {
        const pattern_t *p = &rule->patterns[i];
        switch (p->kind) {
        case USER:
            user = either(user, name_matches(p, q->user));
            break;
        case AGENT:
            agent = either(agent, name_matches(p, q->agent));
            break;
        case LABEL:
            agent = either(agent, q->agent == NULL ? PERHAPS : label_matches(p, q));
            break;
        default:
            break;
        }
    }
    return both(user, agent);
}

static bool is_destination(const pattern_t *p) {
    return p->kind == HOST || p->kind == NETWORK;
}

static match_t rule_matches(const rule_t *rule, const asked_t *a) {
    match_t destination = yes_if(rule->any_destination);
    for (size_t i = 0; i < rule->count; i++)
        if (is_destination(&rule->patterns[i]))
            destination =
                either(destination, destination_matches(&rule->patterns[i], a, rule->allow));
    return both(rule_applies(rule, a->query), destination);
}

/* Guarded addresses -------------------------------------------------------------------------- */

typedef struct guarded {
    wst__ip_t address;
    unsigned prefix;
    bool here; /* loopback: guarded where the connection is made only */
} guarded_t;

static const guarded_t guarded[] = {
    /* Link-local: 169.254.0.0/16 (RFC 3927), with the metadata of most clouds, and fe80::/10
     * (RFC 4291). */
    {{{[10] = 0xff, 0xff, 169, 254}}, V4_PREFIX + 16, false},
    {{{0xfe, 0x80}}, 10, false},
    /* Metadata and more: fd00:ec2::/32 Amazon, fd20:ce::254 Google, 100.100.100.200 Alibaba,
     * 192.0.0.192 Oracle; 168.63.129.16 is Azure's wire server. */
    {{{0xfd, 0x00, 0x0e, 0xc2}}, 32, false},
    {{{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, 0x54}}, 128, false},
    {{{[10] = 0xff, 0xff, 100, 100, 100, 200}}, V4_PREFIX + 32, false},
    {{{[10] = 0xff, 0xff, 192, 0, 0, 192}}, V4_PREFIX + 32, false},
    {{{[10] = 0xff, 0xff, 168, 63, 129, 16}}, V4_PREFIX + 32, false},
    /* Loopback: 127.0.0.0/8 (RFC 1122) and ::1 (RFC 4291), where the unspecified addresses lead. */
    {{{[10] = 0xff, 0xff, 127}}, V4_PREFIX + 8, true},
    {{{[15] = 1}}, 128, true},
};

/* The guarded network that the query's address may lead to; NULL: none. */
static const guarded_t *guard_of(const asked_t *a) {
    for (size_t i = 0; i < sizeof(guarded) / sizeof(guarded[0]); i++)
        for (size_t k = 0; k < a->target_count; k++)
            if ((!guarded[i].here || a->query->dials) &&
                wst__ip_within(&a->targets[k], &guarded[i].address, guarded[i].prefix))
                return &guarded[i];
    return NULL;
}

/* Whether a pattern names a guarded network or a part of it. "localhost" names loopback, where it
 * always leads (RFC 6761 section 6.3). */
static bool names_guarded(const pattern_t *p, const guarded_t *g) {
    return p->kind == NETWORK ? p->prefix >= g->prefix
                              : p->kind == HOST && g->here && strcmp(p->text, "localhost") == 0;
}

/* Whether a rule that allows may open the address: a guarded one must be named. */
static bool opens(const rule_t *rule, const asked_t *a) {
    const guarded_t *g = guard_of(a);
    bool named = g == NULL;
    for (size_t i = 0; i < rule->count && !named; i++)
        named = names_guarded(&rule->patterns[i], g) &&
                destination_matches(&rule->patterns[i], a, true) == YES;
    return named;
}

static wst_rules_verdict_t verdict(bool allow, wst_rules_reason_t reason, size_t rule) {
    return (wst_rules_verdict_t){.allow = allow, .reason = reason, .rule = rule};
}

/* Parses the query; false if its address is invalid. */
static bool parse_query(asked_t *a, const wst_rules_t *r, const wst_rules_query_t *q) {
    *a = (asked_t){.query = q, .host_len = strlen(q->host)};
    if (a->host_len > 1 && q->host[a->host_len - 1] == '.')
        a->host_len--;
    a->literal = a->has_address = wst__ip_parse(&a->given, q->host, a->host_len);
    if (q->address != NULL && q->address[0] != '\0')
        a->has_address = wst__ip_parse(&a->given, q->address, strlen(q->address));
    a->never = !a->has_address && q->address != NULL;
    if (a->has_address)
        a->target_count = wst__ip_targets(a->targets, &a->given, r != NULL ? r->nat64 : NULL,
                                          r != NULL ? r->nat64_count : 0);
    return a->has_address || q->address == NULL || q->address[0] == '\0';
}

wst_rules_verdict_t wst_rules_decide(const wst_rules_t *r, const wst_rules_query_t *given) {
    wst_rules_query_t query;
    asked_t a;
    if (wst__sized_read(&query, sizeof(query), given) != 0)
        return verdict(false, WST_RULES_QUERY, 0);
    if (!parse_query(&a, r, &query))
        return verdict(false, WST_RULES_ADDRESS, 0);
    /* While an allowing rule may still match, a later rule cannot deny for good. */
    bool may_allow = false;
    for (size_t i = 0; r != NULL && i < r->count; i++) {
        const rule_t *rule = &r->rules[i];
        match_t match = rule_matches(rule, &a);
        if (match == NO || (rule->allow && !opens(rule, &a)))
            continue;
        if (match == YES)
            return verdict(rule->allow || may_allow, WST_RULES_RULE, i);
        may_allow = may_allow || rule->allow;
    }
    if (may_allow)
        return verdict(true, WST_RULES_DEFAULT, 0);
    const guarded_t *g = guard_of(&a);
    if (g != NULL)
        return verdict(false, g->here ? WST_RULES_LOOPBACK : WST_RULES_GUARDED, 0);
    return verdict(r == NULL || !r->deny_by_default, WST_RULES_DEFAULT, 0);
}

/* Networks ----------------------------------------------------------------------------------- */

/* A text of networks being written; `len` also counts what does not fit. */
typedef struct writer {
    char *out;
    size_t size, len;
} writer_t;

static void put_text(writer_t *w, const char *text) {
    for (; *text != '\0'; text++, w->len++)
        if (w->len + 1 < w->size)
            w->out[w->len] = *text;
}

/* Puts a network, or if that is NULL any address. `number`: of the rule, from 1; 0: the default. */
static void put_network(writer_t *w, size_t number, bool allow, const pattern_t *network) {
    char head[24], address[WST__IP_TEXT], length[8];
    snprintf(head, sizeof(head), "%s%zu%c", w->len > 0 ? " " : "", number, allow ? '+' : '-');
    put_text(w, head);
    if (network == NULL) {
        put_text(w, "*");
        return;
    }
    bool v4 = wst__ip_is_v4(&network->network);
    wst__ip_text(address, &network->network);
    snprintf(length, sizeof(length), "/%u", network->prefix - (v4 ? V4_PREFIX : 0));
    put_text(w, address);
    put_text(w, length);
}

/* Puts what a rule says about addresses. Returns whether it matches all of them. */
static bool put_rule(writer_t *w, const rule_t *rule, size_t number, const asked_t *a) {
    bool all = rule->any_destination;
    for (size_t i = 0; i < rule->count; i++) {
        const pattern_t *p = &rule->patterns[i];
        if (p->kind == NETWORK && port_matches(p, a->query->port))
            put_network(w, number, rule->allow, p);
        else if (p->kind == HOST)
            all = all || destination_matches(p, a, rule->allow) == YES;
    }
    if (all)
        put_network(w, number, rule->allow, NULL);
    return all;
}

int wst_rules_networks(const wst_rules_t *r, const wst_rules_query_t *given, char *out,
                       size_t size) {
    wst_rules_query_t query;
    asked_t a;
    if (wst__sized_read(&query, sizeof(query), given) != 0 || query.user == NULL ||
        query.agent == NULL || query.address != NULL || size == 0)
        return WST_EINVAL;
    writer_t w = {.out = out, .size = size};
    bool all = false, denied = false;
    (void)parse_query(&a, r, &query); /* cannot fail without an address */
    /* A rule that allows all addresses does not open guarded ones: later rules may. */
    for (size_t i = 0; r != NULL && i < r->count && !denied && !a.literal; i++) {
        bool matches =
            rule_applies(&r->rules[i], &query) == YES && put_rule(&w, &r->rules[i], i + 1, &a);
        all = all || matches;
        denied = matches && !r->rules[i].allow;
    }
    if (!all && !a.literal)
        put_network(&w, 0, r == NULL || !r->deny_by_default, NULL);
    out[w.len < size ? w.len : size - 1] = '\0';
    return w.len < size ? (int)w.len : WST_EMSGBIG;
}

bool wst_rules_networks_suffice(const wst_rules_t *r, const char *host) {
    wst__ip_t ip;
    return r == NULL || r->nat64_count == 0 || wst__ip_parse(&ip, host, strlen(host));
}

/* One of the networks in a text. */
typedef struct entry {
    unsigned number;
    bool allow, all;
    pattern_t network; /* unless `all` */
} entry_t;

/* Takes an entry off a text; false: it is malformed. */
static bool take_entry(wst_str_t *text, entry_t *e) {
    const char *why, *space = memchr(text->ptr, ' ', text->len);
    wst_str_t one = {text->ptr, space != NULL ? (size_t)(space - text->ptr) : text->len};
    size_t taken = one.len + (space != NULL);
    *e = (entry_t){0};
    *text = (wst_str_t){text->ptr + taken, text->len - taken};
    if (!take_number(&one, 999999, &e->number))
        return false;
    e->allow = take_char(&one, '+');
    if (!e->allow && !take_char(&one, '-'))
        return false;
    e->all = one.len == 1 && one.ptr[0] == '*';
    return e->all || (memchr(one.ptr, '/', one.len) != NULL &&
                      read_network(&e->network, one, &why) && why == NULL);
}

static match_t entry_matches(const entry_t *e, const asked_t *a, const guarded_t *g) {
    match_t match = e->all ? YES : network_matches(&e->network, a, e->allow);
    bool opens_it = !e->allow || g == NULL || (!e->all && names_guarded(&e->network, g));
    return opens_it ? match : NO;
}

wst_rules_verdict_t wst__networks_decide(wst_str_t text, const wst_rules_t *own,
                                         const wst_rules_query_t *query) {
    asked_t a;
    entry_t e;
    bool may_allow = false;
    if (!parse_query(&a, own, query))
        return verdict(false, WST_RULES_ADDRESS, 0);
    const guarded_t *g = guard_of(&a);
    while (text.len > 0) {
        if (!take_entry(&text, &e))
            return verdict(false, WST_RULES_QUERY, 0);
        match_t match = entry_matches(&e, &a, g);
        if (match == YES && e.number == 0)
            return g != NULL && !e.allow ? verdict(false, WST_RULES_GUARDED, 0)
                                         : verdict(e.allow || may_allow, WST_RULES_DEFAULT, 0);
        if (match == YES)
            return verdict(e.allow || may_allow, WST_RULES_RULE, e.number - 1);
        may_allow = may_allow || (match == PERHAPS && e.allow);
    }
    return verdict(may_allow, g != NULL ? WST_RULES_GUARDED : WST_RULES_DEFAULT, 0);
}
