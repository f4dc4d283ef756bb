/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_RULES_H
#define WSTUNNEL_RULES_H
/**
 * @file rules.h
 * Rules: which users may reach which destinations. An ordered list; the first rule that matches
 * decides. No I/O.
 *
 * A destination is known by its name first and by its address later, once that has been looked up
 * (at the agent) or reached (told to the server). Ask at both times: the first verdict denies only
 * destinations that no address could make allowed; the second is final. So a rule about addresses
 * holds for names too, whatever a name server answers.
 *
 * Guarded addresses, the link-local ones (169.254.0.0/16, fe80::/10) and those where clouds serve
 * their metadata, are denied in any case, unless the rule that allows names such an address or a
 * network within the guarded one: neither `*` nor a host name opens them. (An address that will
 * never be known does not count as guarded: the dialling side must guard then, as agents do.)
 *
 * IPv4 addresses within IPv6 (::ffff:0:0/96, 64:ff9b::/96) are taken for IPv4; the unspecified
 * addresses, which lead to this host, for 127.0.0.1 and ::1. A rule that denies 64:ff9b::/96 or an
 * unspecified address by itself holds as well. IPv6 networks, even "::/0", contain no IPv4 address.
 */
#include <wstunnel/common.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wst_rules wst_rules_t;

/**
 * A rule. It matches if each of its lists has a matching pattern; a list that is NULL matches
 * always. Lists end with NULL. In patterns `*` stands for any characters, also none, also dots.
 */
typedef struct wst_rule {
    size_t size; /**< sizeof the struct (common.h) */
    bool allow;  /**< else it denies */
    /** Patterns of users' names; "" is the client without a name. Case matters. */
    const char *const *users;
    /** Patterns of agents' names, or "label:" and a pattern of one of its labels. Case matters. */
    const char *const *agents;
    /**
     * HOST or HOST:PORTS. HOST is a pattern of host names (case and a trailing dot do not
     * matter; `*` alone matches addresses too), an IPv4 address or network ("10.0.0.0/8"),
     * or an IPv6 one ("[2001:db8::]/32:443"; without ports the brackets may be left out). A text of
     * digits, dots, '-' and '*' that looks like an address but is none ("10.*") is an error. PORTS:
     * numbers and ranges, separated by commas ("80,8000-8999"), or `*`.
     */
    const char *const *destinations;
} wst_rule_t;

/** Options of rules; copied. */
typedef struct wst_rules_options {
    size_t size; /**< sizeof the struct (common.h) */
    const wst_rule_t *rules;
    size_t count;
    bool deny_by_default;             /**< Deny a destination that no rule matches; else allow
                                           it. */
    const wst_allocator_t *allocator; /**< NULL: the C library's; borrowed for the rules' life */
} wst_rules_options_t;

/** The malformed pattern; `pattern` points into the options. */
typedef struct wst_rules_error {
    size_t rule;         /**< index of the rule */
    const char *pattern; /**< the text */
    const char *why;     /**< for people; static */
} wst_rules_error_t;

/**
 * Makes rules.
 * @param error  NULL, or filled in if WST_EINVAL is returned
 * @return 0; WST_EINVAL: a pattern is malformed; WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_rules_new(wst_rules_t **out, const wst_rules_options_t *options,
                                            wst_rules_error_t *error);

/** Frees rules. NULL is allowed. */
WST_EXTERN void wst_rules_free(wst_rules_t *rules);

/** A user and the destination it asks for. */
typedef struct wst_rules_query {
    size_t size;               /**< sizeof the struct (common.h) */
    const char *user;          /**< NULL: not known (an agent asks) */
    const char *agent;         /**< name of the agent; NULL: not chosen yet */
    const char *const *labels; /**< of the agent, NULL-terminated; NULL: none */
    const char *host;          /**< a name or a literal address, without brackets */
    uint16_t port;
    const char *address; /**< the address the name led to, a literal; NULL: not known yet; "": it
                              will never be known, and rules that deny networks hold for it */
} wst_rules_query_t;

/** The ground of a verdict. */
typedef enum wst_rules_reason {
    WST_RULES_RULE,    /**< a rule, see `rule` */
    WST_RULES_DEFAULT, /**< no rule matched */
    WST_RULES_GUARDED, /**< a guarded address */
    WST_RULES_ADDRESS, /**< `address` is not an address: denied */
    WST_RULES_QUERY    /**< the query's size is not set: denied */
} wst_rules_reason_t;

/** The answer. */
typedef struct wst_rules_verdict {
    bool allow;
    wst_rules_reason_t reason;
    size_t rule; /**< WST_RULES_RULE: its index, from 0 */
} wst_rules_verdict_t;

/**
 * Decides. While the agent or the address is not known, "allow" is provisional: ask again. Literal
 * addresses as `host` are decided on at once.
 * @param rules  NULL: all is allowed but guarded addresses
 */
WST_EXTERN wst_rules_verdict_t wst_rules_decide(const wst_rules_t *rules,
                                                const wst_rules_query_t *query);

#ifdef __cplusplus
}
#endif
#endif
