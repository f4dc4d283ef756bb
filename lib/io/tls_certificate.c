/* SPDX-License-Identifier: MIT */
/* Self-signed certificates and pins (tls_certificate.h); here what the engine does not know: dates
 * that begin now. */
#include "mem.h"
#include "sized.h"
#include "tls_self.h"

#include <time.h>
#include <wstunnel/error.h>

enum { DAY_S = 24 * 60 * 60, DAYS_MAX = 36500 };

/* False: an option is missing or out of range. */
static bool read_self_sign(wst__tls_self_t *self, const wst_tls_self_sign_options_t *given) {
    wst_tls_self_sign_options_t options;
    if (wst__sized_read(&options, sizeof(options), given) != 0 || options.names == NULL ||
        options.days < 1 || options.days > DAYS_MAX || !wst__tls_self_names(self, options.names))
        return false;
    int64_t now = (int64_t)time(NULL);
    self->not_before = now - DAY_S;
    self->not_after = now + (int64_t)options.days * DAY_S;
    return true;
}

int wst_tls_self_sign(wst_tls_self_signed_t *out, const wst_tls_self_sign_options_t *given,
                      wst_tls_error_t *why) {
    wst__tls_self_t self;
    int status = WST_EINVAL;
    if (read_self_sign(&self, given))
        status = wst__tls_engine_self_sign(out, &self, why);
    if (status != 0)
        wst__wipe(out, sizeof(*out));
    return status;
}

int wst_tls_pin(char out[WST_TLS_PIN_MAX], const char *chain_pem, wst_tls_error_t *why) {
    return wst__tls_engine_pin(out, chain_pem, why);
}
