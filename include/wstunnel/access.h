/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_ACCESS_H
#define WSTUNNEL_ACCESS_H
/**
 * @file access.h
 * Access control of a server: users, agents, rules, routes, limits against guessing. It answers the
 * server's questions (server.h), each at once unless a user must be looked up:
 *
 *     static void on_client_request(wst_server_t *server, wst_request_t *request, void *app) {
 *         wst_access_client_request(((app_t *)app)->access, server, request);
 *     }
 *
 * and so on for the other callbacks. An access object may be replaced at any time: requests whose
 * user is being looked up then are answered 503, and clients retry. Leave on_client_request and
 * on_client_login NULL if wst_access_has_users() is false, and on_agent_request NULL if
 * wst_access_has_agents() is false: then the server refuses to listen where other machines could
 * connect (WST_EINSECURE).
 *
 * Clients authenticate with Digest (RFC 7616: SHA-256 or MD5, qop "auth"), Basic (RFC 7617) or the
 * certificate of their TLS session. The challenge offers them in this order, the strongest first,
 * and a Digest algorithm only if at least one user can be checked by it. A nonce lasts 5 minutes,
 * then it is `stale`. It is accepted once per nonce count. The server remembers 2048 nonces in use;
 * forgotten ones are stale.
 *
 * Users are in a list (`users`), or in the embedder's database, which `on_user` queries for each
 * request whose credentials name a user not in the list. The answer is not cached.
 *
 * SOCKS clients authenticate with name and password (RFC 1929), which count as Basic, or with their
 * certificate, the only way left by `no_basic`. Their failures are counted with the others.
 *
 * Agents authenticate with a bearer token (RFC 6750) or a certificate.
 *
 * Failures of clients are counted by
 *
 *     user and address   max_failures         the user name tried, from that address
 *     user               twice as many        that name, from anywhere
 *     address            twice as many        any names, from that address
 *     network            eight times as many  any names, from the addresses around it
 *
 * An address is one of IPv4, or a /64 network of IPv6; its network is the /24 or /48 around it. So
 * many are allowed at once, then one more for each part of the window (failure_window_ms by that
 * number) that passes. An attempt beyond a limit is checked, but its answer is held back, right or
 * wrong, until its turn comes; if that takes more than 5 s, or 64 answers are held back already, it
 * is answered 429 with Retry-After, right or wrong. A success does not reset any count. But for a
 * user who has succeeded from the same address within 7 days only the first limit applies: neither
 * guessers elsewhere nor others at a shared address can delay or refuse this user.
 *
 * Failures of agents are counted apart: `max_failures` by address, eight times as many by network.
 * A right token of 32 bytes and more is accepted whatever the counts, since it cannot be guessed.
 *
 * Requests without credentials, stale nonces and certificates are not counted. The address is that
 * of wst_request_peer(): the one that a trusted proxy tells (wst_server_options.trust). From this
 * machine (loopback, Unix sockets), where a proxy that is not trusted may stand for all clients,
 * only user names are counted, and failures of agents are not. With `user_selects_agent` a name is
 * counted by the part before its first "+".
 *
 * All this is bounded: 4096 each of user names with addresses, user names, and addresses, and 1024
 * networks; those with the fewest failures are forgotten first. Of successes the last 4096 or so
 * are remembered, in 256 parts of 16; all of a user are in one part, where the oldest is forgotten
 * first. An object that replaces another one starts without its failures, successes and nonces.
 *
 * A denial is a 403 whose reason names the kind of rule and its number, counted from 1: "Denied by
 * rule 3 of the server".
 */
#include <wstunnel/rules.h>
#include <wstunnel/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Access control of a server. */
typedef struct wst_access wst_access_t;

/*
 * A `certificate` is given by one of the names in it: "CN:NAME", "dns:NAME", "email:NAME" or
 * "uri:NAME", where `*` in NAME stands for any characters. Only verified certificates count.
 */

/** A user: the identity of a client. In a list, or the answer to a look-up. */
typedef struct wst_access_user {
    size_t size;      /**< sizeof the struct (common.h) */
    const char *name; /**< Required: 1..127 bytes of UTF-8 without control characters and ':'. */
    /** The password, 1..255 bytes; kept only for `user_selects_agent`. Or, to avoid storing the
        password, one or both of the hashes: */
    const char *password;
    const char *ha1_sha256;  /**< 64 hex digits: SHA-256 of "NAME:REALM:PASSWORD". */
    const char *ha1_md5;     /**< 32 hex digits: MD5 of the same. */
    const char *certificate; /**< Optional: with this certificate no password is needed. */
    const char *tenant;      /**< Optional (default ""). */
} wst_access_user_t;

/**
 * An agent, or all agents whose names match a pattern. Within a tenant no two entries may cover the
 * same name, so that the holder of one entry's token cannot pose as the other's agent.
 */
typedef struct wst_access_agent {
    size_t size;      /**< sizeof the struct (common.h) */
    const char *name; /**< Required: the name it must give itself, or a pattern with `*`. */
    /** NULL-terminated list of 64 hex digits each: SHA-256 of its token (wst_auth_sha256). Tokens
        must be long and random: nothing slows down guessing against a stolen hash, nor guesses at a
        token of 32 bytes or more. Give several while a token is being replaced. This or
        `certificate`, or both, are required. */
    const char *const *tokens_sha256;
    const char *certificate;   /**< Optional: with this certificate no token is needed. */
    const char *tenant;        /**< Optional (default ""). */
    const char *const *labels; /**< Optional: NULL-terminated, for rules and routes. */
} wst_access_agent_t;

/** Which agents serve. The first route whose users and destinations match decides: only agents that
    it names, of the client's tenant, serve. Without a matching route any agent of the tenant
    serves. */
typedef struct wst_access_route {
    size_t size;                     /**< sizeof the struct (common.h) */
    const char *const *users;        /**< As in wst_rule_t; NULL: all. */
    const char *const *destinations; /**< As in wst_rule_t, but the address of a name is not known
                                          yet: networks match literal addresses only; NULL: all. */
    const char *const *agents;       /**< Required: as in wst_rule_t. */
} wst_access_route_t;

/**
 * A look-up of a user, see wst_access_options.on_user. It ends by one call of
 * wst_access_lookup_answer() or wst_access_lookup_fail(), which frees it: inside on_user, or later
 * from the loop's thread. That call is required, and allowed, even after the request has gone, the
 * access object has been freed or the context has been closed: then it only frees the look-up. The
 * allocator of the context must still work.
 */
typedef struct wst_access_lookup wst_access_lookup_t;

/** The name of the user: 1..127 bytes of UTF-8 without control characters and ':', unescaped as the
    client sent it, so a query must quote it. Valid as long as the look-up. */
WST_EXTERN const char *wst_access_lookup_name(const wst_access_lookup_t *lookup);

/**
 * Answers a look-up with the user.
 *
 * A user without password and hashes cannot authenticate. `certificate` is not used. `name` must be
 * the name asked for, byte by byte; any other name counts as no user. (A database that ignores
 * case would otherwise admit "ALICE", to whom a rule that denies "alice" does not apply.) A user
 * that `users` would not accept, with a malformed hash, say, is logged as an error and counts as
 * wst_access_lookup_fail().
 *
 * The time of an answer must not tell a client which users exist: answer for unknown users no
 * sooner. A client can still learn which users are in the list.
 *
 * @param user  NULL: there is no such user. Borrowed for the call; wipe the password after it.
 */
WST_EXTERN void wst_access_lookup_answer(wst_access_lookup_t *lookup,
                                         const wst_access_user_t *user);

/** Reports that the database failed. The client gets a 503 with Retry-After, not counted as a
    failed attempt. */
WST_EXTERN void wst_access_lookup_fail(wst_access_lookup_t *lookup);

/** Digest algorithms; values to be or-ed. */
typedef enum wst_access_digest {
    WST_ACCESS_SHA256 = 1, /**< needs `password` or `ha1_sha256` */
    WST_ACCESS_MD5 = 2     /**< needs `password` or `ha1_md5` */
} wst_access_digest_t;

/** Options; copied, but for `rules`. */
typedef struct wst_access_options {
    size_t size;       /**< sizeof the struct (common.h) */
    const char *realm; /**< Optional (default "wstunnel"): 1..127 bytes of printable ASCII without
                          quotation marks and backslashes. */
    const wst_access_user_t *users;   /**< Optional. Clients; `user_count` of them. */
    size_t user_count;                /**< 0, and no `on_user`: clients are not authenticated */
    const wst_access_agent_t *agents; /**< Optional. `agent_count` of them. */
    size_t agent_count;               /**< 0: agents are not authenticated */
    const wst_access_route_t *routes; /**< Optional. In the order that decides. */
    size_t route_count;               /**< 0: any agent of the tenant serves */
    wst_rules_t *rules; /**< Optional: taken on success. NULL: all but guarded addresses. Applied to
                           the name first, then to each address that an agent has reached. */

    bool no_basic; /**< Do not accept passwords in clear (Basic, SOCKS). wget supports nothing
                        else. */
    /** A client named "alice+berlin" is the user alice and selects the agent berlin, among those
        that may serve her. (With Digest this needs `password`: the hashes cover the bare name.) */
    bool user_selects_agent;

    size_t max_failures; /**< Optional (default 20): of a user from an address, from which the
                              other limits follow; SIZE_MAX: no limits. */
    uint64_t failure_window_ms; /**< Optional (default 60000): the window for max_failures. */

    /**
     * Optional: looks up a user that is not in `users`: answer by wst_access_lookup_answer() or
     * wst_access_lookup_fail(). Runs inside wst_access_client_request(), once for each request with
     * credentials, unless too many failures are counted for the client. wst_access_free() may be
     * called in it. It also runs for a client that is already authenticated, to find whether the
     * user exists, and its tenant.
     *
     * With `user_selects_agent` it gets the part before the last "+": users whose own name has a
     * "+" must be in `users` then.
     *
     * A request waits until its deadline (wst_server_limits.decision_timeout_ms, then 504); the
     * look-up stays until it is answered. A client that leaves before that is not counted as a
     * failure.
     */
    void (*on_user)(wst_access_t *access, wst_access_lookup_t *lookup, void *user_data);
    void *user_data; /**< For on_user. */

    /** Optional (default: all). The Digest algorithms that every user of on_user can be checked by:
        wst_access_digest_t values. They are offered before the client names its user, and the
        client uses the strongest it supports: a user without a hash for that algorithm is refused
        although the password is right. Hashes for algorithms that are not offered are ignored. */
    unsigned lookup_digests;
    /** Optional (default 1024). Most look-ups at a time, including those whose request has gone.
        Beyond that clients get a 503 with Retry-After; the log says so once. */
    size_t max_lookups;
} wst_access_options_t;

/** What is wrong with the options. */
typedef struct wst_access_error {
    const char *list;   /**< "users", "agents" or "routes"; "": the options themselves */
    size_t index;       /**< in that list */
    const char *member; /**< name of the member, as in the struct: "ha1_md5" */
    const char *item;   /**< the wrong text, verbatim, if the member is a list of texts other than
                             tokens; else NULL */
    const char *why;    /**< for people; static; without any secret */
} wst_access_error_t;

/**
 * Makes an access object. The context must outlive it.
 * @param error  NULL, or filled in if WST_EINVAL is returned
 * @return 0; WST_EINVAL; WST_ENOMEM; libuv's error (no random bytes).
 */
WST_EXTERN WST_MUST_CHECK int wst_access_new(wst_access_t **out, wst_ctx_t *ctx,
                                             const wst_access_options_t *options,
                                             wst_access_error_t *error);

/** Frees the object and its rules; secrets are wiped. Requests whose user is being looked up are
    answered 503 with Retry-After; the look-ups still have to be answered. NULL is allowed. */
WST_EXTERN void wst_access_free(wst_access_t *access);

/** Whether clients are authenticated, by `users` or `on_user`. */
WST_EXTERN bool wst_access_has_users(const wst_access_t *access);
/** Whether agents are authenticated. */
WST_EXTERN bool wst_access_has_agents(const wst_access_t *access);

/** Answers on_agent_request: sets tenant, labels, and the name that the agent must state. */
WST_EXTERN void wst_access_agent_request(wst_access_t *access, wst_server_t *server,
                                         wst_request_t *request);
/** Answers on_client_request: sets user and tenant. A client that has been authenticated already
    (wst_request_is_authenticated) needs no credentials; if its request names no tenant, it gets the
    tenant of the user with its name, looked up if necessary. If clients are authenticated but no
    user has that name (any more), the client is refused (403). */
WST_EXTERN void wst_access_client_request(wst_access_t *access, wst_server_t *server,
                                          wst_request_t *request);
/** Answers on_client_login by the same users, certificates and limits: sets user and tenant. */
WST_EXTERN void wst_access_client_login(wst_access_t *access, wst_server_t *server,
                                        wst_request_t *request);
/** Answers on_choose by rules (as far as they can be decided), selection and routes; among several
    agents the default policy chooses. Agents that are not in `agents` (any more) do not serve. The
    agent that a client selects, or the only one that a route names, is found by its name; otherwise
    the tenant's agents are tried in the order of wst_server_best_agent until one may serve. */
WST_EXTERN void wst_access_choose(wst_access_t *access, wst_server_t *server,
                                  wst_request_t *request);
/** Answers on_reached by the rules. */
WST_EXTERN void wst_access_reached(wst_access_t *access, wst_server_t *server,
                                   wst_request_t *request);

/**
 * Ends the sessions of agents that would no longer be admitted, with their streams: call it when
 * this object has replaced another one, so that a withdrawn token is useless from then on.
 */
WST_EXTERN void wst_access_review_agents(wst_access_t *access, wst_server_t *server);

/** Flows to end in a review; values to be or-ed. */
typedef enum wst_access_review {
    WST_ACCESS_REVIEW_USERS = 1, /**< those of users that are not in `users` (any more) */
    WST_ACCESS_REVIEW_RULES = 2 /**< those whose destination, or its address, a rule denies (now) */
} wst_access_review_t;

/**
 * Ends the flows (wst_server_review_flows) that would no longer be allowed: call it when this
 * object has replaced another one. Users that `on_user` may know stay, and so do flows without a
 * user. A user is known by its name: a changed password, certificate or tenant ends nothing, nor
 * does a changed route.
 * @param which  of wst_access_review_t
 */
WST_EXTERN void wst_access_review_flows(wst_access_t *access, wst_server_t *server, unsigned which);

#ifdef __cplusplus
}
#endif
#endif
