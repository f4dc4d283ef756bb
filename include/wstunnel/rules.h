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
 * Where the connection is made (wst_rules_query.dials), this host's own services are guarded, too:
 * the loopback addresses 127.0.0.0/8 and ::1. A rule for the host name `localhost` names them for
 * clients that ask for that name. Agents guard them by default and by their rules alike (agent.h);
 * a server does not, since an agent's loopback is the agent's own concern.
 *
 * An address counts as the one that it leads to: IPv4-mapped addresses ("::ffff:0:0/96"), those of
 * NAT64 (64:ff9b::/96 of RFC 6052, and wst_rules_options.nat64) and of 6to4 (2002::/16 of RFC 3056)
 * as the IPv4 address in them, the unspecified ones as 127.0.0.1 and ::1. In 64:ff9b:1::/48 (RFC
 * 8215), unless the network's prefix there is among `nat64`, its length is unknown: each IPv4
 * address that some length gives must be allowed. A rule that denies such an address as it is
 * written, or a network with it, holds as well. IPv6 networks, even "::/0", contain no IPv4
 * address.
 */
#include <wstunnel/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Rules; immutable. */
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
    size_t size;                      /**< sizeof the struct (common.h) */
    const wst_rule_t *rules;          /**< Optional. In the order that decides. */
    size_t count;                     /**< of `rules` */
    bool deny_by_default;             /**< Deny a destination that no rule matches; else allow
                                           it. */
    const wst_allocator_t *allocator; /**< NULL: the C library's; borrowed for the rules' life */
    /** Optional. NAT64 prefixes of the network where connections are made (RFC 6052), such as
        "2001:db8:64::/96", of 32, 40, 48, 56, 64 or 96 bits; at most 16; NULL-terminated. */
    const char *const *nat64;
} wst_rules_options_t;

/** The malformed pattern; `pattern` points into the options. */
typedef struct wst_rules_error {
    size_t rule;         /**< index of the rule; of a malformed prefix: the number of rules */
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
    uint16_t port;             /**< 1..65535 */
    const char *address; /**< the address the name led to, a literal; NULL: not known yet; "": it
                              will never be known, and rules that deny networks hold for it */
    bool dials;          /**< this host makes the connection: its loopback addresses are guarded */
} wst_rules_query_t;

/** The ground of a verdict. */
typedef enum wst_rules_reason {
    WST_RULES_RULE,    /**< a rule, see `rule` */
    WST_RULES_DEFAULT, /**< no rule matched */
    WST_RULES_GUARDED, /**< a guarded address */
    WST_RULES_ADDRESS, /**< `address` is not an address: denied */
    WST_RULES_QUERY,   /**< the query's size is not set: denied */
    WST_RULES_LOOPBACK /**< a loopback address, guarded since the query's host dials */
} wst_rules_reason_t;

/** The answer. */
typedef struct wst_rules_verdict {
    bool allow;                /**< else it is denied */
    wst_rules_reason_t reason; /**< why */
    size_t rule;               /**< WST_RULES_RULE: its index, from 0 */
} wst_rules_verdict_t;

/**
 * Decides. While the agent or the address is not known, "allow" is provisional: ask again. Literal
 * addresses as `host` are decided on at once.
 * @param rules  NULL: all is allowed but guarded addresses
 */
WST_EXTERN wst_rules_verdict_t wst_rules_decide(const wst_rules_t *rules,
                                                const wst_rules_query_t *query);

/**
 * Writes what the verdict on a host name still depends on when its address becomes known, for
 * wst_request_set_networks(): so the agent denies an address without trying to connect to it, and a
 * client cannot tell by a denial whether a port there is open.
 * @param query  with user and agent, without address
 * @param out    filled in: networks in order, with the rules' numbers (lib/PROTOCOL.md); "" if the
 *               host is an address
 * @param size   WST_NETWORKS_MAX + 1 is what can be sent
 * @return length of the text; WST_EINVAL; WST_EMSGBIG: it does not fit.
 */
WST_EXTERN WST_MUST_CHECK int wst_rules_networks(const wst_rules_t *rules,
                                                 const wst_rules_query_t *query, char *out,
                                                 size_t size);

/**
 * Whether wst_rules_networks() says of a host all that wst_rules_decide() will say of its address:
 * not of a name if the rules have NAT64 prefixes of their own (wst_rules_options.nat64), which the
 * agent may not know.
 * @param rules  NULL: none
 */
WST_EXTERN bool wst_rules_networks_suffice(const wst_rules_t *rules, const char *host);

#ifdef __cplusplus
}
#endif
#endif
