/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HTTP_TARGET_H
#define WST_LIB_HTTP_TARGET_H
#include <wstunnel/http.h>

/* Writes "host:port" or "[v6]:port", terminated, cut at `size` > 0. */
void wst__authority_write(char *out, size_t size, const wst_authority_t *authority);

#endif
