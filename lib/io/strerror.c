/* SPDX-License-Identifier: MIT */
/* Error texts and the mapping of libuv's errors to the reasons that travel on the wire. */
#include "error.h"

#include <uv.h>

_Static_assert((int)WST_ENOMEM == (int)UV_ENOMEM, "error.h restates libuv's value");
_Static_assert((int)WST_EINVAL == (int)UV_EINVAL, "error.h restates libuv's value");

/* libuv's switch over its own table, since uv_strerror() leaks a string for an unknown code. */
static bool is_uv_error(int error) {
    switch (error) {
#define CASE(name, text) case UV_##name:
        UV_ERRNO_MAP(CASE)
#undef CASE
        return true;
    default:
        return false;
    }
}

const char *wst_strerror(int error) {
    const char *text = wst__error_text(error);
    if (text != NULL)
        return text;
    if (error == UV_EAI_NONAME || error == UV_EAI_NODATA) /* "unknown node or service" */
        return "name not found";
    return is_uv_error(error) ? uv_strerror(error) : "unknown error";
}

const char *wst_err_name(int error) {
    const char *name = wst__error_name(error);
    if (name != NULL)
        return name;
    return is_uv_error(error) ? uv_err_name(error) : "UNKNOWN";
}

int wst_reason_of(int error) {
    if (wst_is_reason(error))
        return error;
    switch (error) {
    case UV_ECONNREFUSED:
        return WST_EREFUSED;
    case UV_ENETUNREACH:
    case UV_EHOSTUNREACH:
    case UV_EHOSTDOWN:
    case UV_ENETDOWN:
    case UV_EADDRNOTAVAIL:
    case UV_EAFNOSUPPORT:
        return WST_EUNREACHABLE;
    case UV_EAI_NONAME:
    case UV_EAI_NODATA:
    case UV_EAI_FAIL:
    case UV_EAI_ADDRFAMILY:
    case UV_EAI_FAMILY:
    case UV_EAI_AGAIN:
        return WST_ENAME;
    case UV_ETIMEDOUT:
        return WST_EDIALTIMEOUT;
    case UV_EACCES:
    case UV_EPERM:
        return WST_EDENIED;
    case UV_EMFILE:
    case UV_ENFILE:
        return WST_ELIMIT;
    case UV_ECONNRESET:
    case UV_EPIPE:
    case UV_ENOTCONN:
    case UV_ECONNABORTED:
        return WST_ERESET;
    case UV_ECANCELED:
        return WST_ECANCELLED;
    case UV_ENOMEM:
    case UV_EAI_MEMORY:
        return WST_EMEMORY;
    case UV_EINVAL:
        return WST_EDEST;
    case WST_ETIMEOUT:
        return WST_EIDLE;
    default:
        return WST_EINTERNAL;
    }
}
