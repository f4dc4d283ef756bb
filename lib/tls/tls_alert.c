/* SPDX-License-Identifier: MIT */
#include "tls_alert.h"

#include <stddef.h>

const char *wst__tls_alert_name(unsigned alert) {
    static const struct {
        unsigned alert;
        const char *name;
    } names[] = {
        {0, "close notify"},
        {10, "unexpected message"},
        {20, "bad record MAC"},
        {22, "record overflow"},
        {40, "handshake failure"},
        {42, "bad certificate"},
        {43, "unsupported certificate"},
        {44, "certificate revoked"},
        {45, "certificate expired"},
        {46, "certificate unknown"},
        {47, "illegal parameter"},
        {48, "unknown CA"},
        {49, "access denied"},
        {50, "decode error"},
        {51, "decrypt error"},
        {70, "protocol version"},
        {71, "insufficient security"},
        {80, "internal error"},
        {86, "inappropriate fallback"},
        {90, "user cancelled"},
        {100, "no renegotiation"},
        {109, "missing extension"},
        {110, "unsupported extension"},
        {112, "unrecognized name"},
        {113, "bad certificate status response"},
        {115, "unknown PSK identity"},
        {116, "certificate required"},
        {120, "no application protocol"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].alert == alert)
            return names[i].name;
    return "unknown";
}
