/* SPDX-License-Identifier: MIT */
#include "agent_advice.h"

#include <string.h>
#include <wstunnel/wstunnel.h>

const char *agent_advice(int error, int http_status, const char *detail) {
    static const char own[] = "self-signed certificate, not trusted",
                      others[] = "issuer not trusted";
    if (error == WST_ETLSCERT && strncmp(detail, own, strlen(own)) == 0)
        return "if this is the pin that the server's log tells, trust it by --pin; or by --ca "
               "FILE, "
               "a copy of the certificate";
    if (error == WST_ETLSCERT && strncmp(detail, others, strlen(others)) == 0)
        return "--ca FILE trusts the certificates in FILE, such as that of this issuer";
    if (http_status == 404 && error != WST_EPROXY)
        return "404: is the path of the URL (default /websocket) the one of the server's --path?";
    return NULL;
}
