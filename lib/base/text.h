/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TEXT_H
#define WST_LIB_TEXT_H
/* Short texts that each tunnel needs: snprintf takes ten times as long for them. */
#include <stddef.h>
#include <stdint.h>
#include <wstunnel/common.h>

enum { WST__DECIMAL_MAX = 20 }; /* digits of a number */

/* Copies text into `size` > 0 bytes: cut to fit, and terminated. */
void wst__text_copy(char *out, size_t size, wst_str_t text);

/* Writes a number in decimal digits, at most WST__DECIMAL_MAX, without a terminator. Returns their
 * end. */
char *wst__text_decimal(char *out, uint64_t number);

#endif
