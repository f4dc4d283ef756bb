/* SPDX-License-Identifier: MIT */
/*
 * For LD_PRELOAD: look-ups of names whose servers never answer. Names that begin with "good" lead
 * to 127.0.0.1.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef int (*getaddrinfo_t)(const char *name, const char *service, const struct addrinfo *hints,
                             struct addrinfo **out);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out) {
    if (strncmp(name, "good", 4) == 0) {
        getaddrinfo_t real;
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
        return real != NULL ? real("127.0.0.1", service, hints, out) : EAI_FAIL;
    }
    dprintf(STDERR_FILENO, "looking up %s, forever\n", name);
    for (;;)
        pause();
}
