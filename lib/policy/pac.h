/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_PAC_H
#define WST_LIB_PAC_H
/* The text of a proxy auto-config file (wstunnel/pac.h). */
#include <wstunnel/pac.h>

/*
 * Writes the file for a client that asks by TLS or without, with that value of Host; terminated.
 * Returns its length; WST_EDEST: the proxy depends on Host, which is not HOST or HOST:PORT.
 */
int wst__pac_write(const wst_pac_t *pac, bool tls, wst_str_t host, char out[WST_PAC_MAX]);

#endif
