/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HTTP_DATE_H
#define WST_LIB_HTTP_DATE_H
/* Dates in HTTP (RFC 9110 section 5.6.7). */
#include <stdbool.h>
#include <stdint.h>

/* Room for "Sun, 06 Nov 1994 08:49:37 GMT" and its NUL. */
enum { WST__HTTP_DATE = 30 };

/* Writes the date of a time in seconds since 1970. False: it is before that, or beyond the year
 * 9999, which the format cannot express; `out` is "" then. Independent of the locale. */
bool wst__http_date(char out[WST__HTTP_DATE], int64_t seconds);

#endif
