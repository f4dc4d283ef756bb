/* SPDX-License-Identifier: MIT */
/* counts NAME: does a piece of work, for counts.py. */
#include "counts.h"

#include <stdio.h>
#include <string.h>

static const counts_work_t *const works[] = {
    &counts_mib_to_agent, &counts_mib_to_server, &counts_echo,
    &counts_attach,       &counts_connect,       &counts_tls_record,
};

/* callgrind counts from its entry to its return (--toggle-collect). */
void counts_measured(const counts_work_t *work);
__attribute__((noinline)) void counts_measured(const counts_work_t *work) {
    work->run();
    __asm__ volatile(""); /* the call before is no jump */
}

int main(int argc, char **argv) {
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
        if (argc != 2 || strcmp(works[i]->name, argv[1]) != 0)
            continue;
        works[i]->open();
        works[i]->run();
        counts_measured(works[i]);
        works[i]->close();
        return 0;
    }
    fprintf(stderr, "usage: counts NAME, one of:\n");
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
        fprintf(stderr, "%s\n", works[i]->name);
    return 2;
}
