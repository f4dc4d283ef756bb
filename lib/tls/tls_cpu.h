/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_CPU_H
#define WST_LIB_TLS_CPU_H
#include <stdbool.h>

/* Whether the processor has instructions for AES-GCM; false where that is not known. */
bool wst__tls_cpu_has_aes(void);

#endif
