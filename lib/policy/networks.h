/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_NETWORKS_H
#define WST_LIB_NETWORKS_H
/*
 * What is left of rules when all but the address is known, as a text that travels with a handshake
 * (PROTOCOL.md, "handshake"): the side that connects applies it to each address before it tries
 * that. wst_rules_networks() writes it.
 *
 *     "1-10.0.0.0/8 2+192.168.0.0/16 3+*"
 */
#include <wstunnel/rules.h>

/*
 * Decides by such a text, as the rules would that it was made of. The query needs no user and no
 * agent. `own`: rules whose NAT64 prefixes apply; may be NULL. The verdict has the index of the
 * rule in those rules. A malformed text denies: WST_RULES_QUERY.
 */
wst_rules_verdict_t wst__networks_decide(wst_str_t networks, const wst_rules_t *own,
                                         const wst_rules_query_t *query);

#endif
