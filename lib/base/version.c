/* SPDX-License-Identifier: MIT */
#include <wstunnel/version.h>

const char *wst_version(void) {
    return WST_VERSION;
}
