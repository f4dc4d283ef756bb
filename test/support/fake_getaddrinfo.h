/* SPDX-License-Identifier: MIT */
#ifndef TEST_FAKE_GETADDRINFO_H
#define TEST_FAKE_GETADDRINFO_H
/*
 * A getaddrinfo that takes the place of the C library's in the test that links it. By first word:
 *   stuck...   hangs like a name server that never answers, until fake_getaddrinfo_release()
 *   stuck-again...   the same, and EAI_AGAIN then
 *   none... again... fail... system...   EAI_NONAME, EAI_AGAIN, EAI_FAIL, EAI_SYSTEM (UV_EMFILE)
 *   short...   EAI_NONAME as glibc has it without descriptors, and (short-memory...) without memory
 *   many...    40 addresses, 192.0.2.1 and up
 *   alien...   one address of a family nobody dials
 *   others     192.0.2.1 and 2001:db8::1
 * With AI_NUMERICHOST it reads IPv6 literals. It knows the threads that have called it.
 */
#include <stddef.h>

/* Forgets all calls and makes "stuck" names hang again; no thread may be left. */
void fake_getaddrinfo_reset(void);

/* Lets all that hang go on, and all later ones pass. */
void fake_getaddrinfo_release(void);

/* Calls for this name so far. */
size_t fake_getaddrinfo_calls(const char *host);

/* Waits until `n` calls hang. */
void fake_getaddrinfo_wait_stuck(size_t n);

/* Waits until `n` calls that were not numeric have been made and those that do not hang returned.
 */
void fake_getaddrinfo_wait_returned(size_t n);

/* Waits until all threads that have called have ended, their last instruction included. */
void fake_getaddrinfo_wait_no_threads(void);

#endif
