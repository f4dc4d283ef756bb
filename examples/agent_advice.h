/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_AGENT_ADVICE_H
#define EXAMPLES_AGENT_ADVICE_H

/* What to do if an agent cannot reach its server: for the error, the status of the answer (0: none)
 * and the detail, as in wst_agent_failure. Static; NULL: the detail says enough. */
const char *agent_advice(int error, int http_status, const char *detail);

#endif
