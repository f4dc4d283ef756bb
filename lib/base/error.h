/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ERROR_H
#define WST_LIB_ERROR_H
/* The library's own error codes, without libuv's; wst_strerror() and friends add those. */
#include <wstunnel/error.h>

/* Text or name ("WST_EPROTO") of a code of the library's own, or NULL. */
const char *wst__error_text(int error);
const char *wst__error_name(int error);

#endif
