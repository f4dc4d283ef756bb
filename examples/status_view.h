/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_STATUS_VIEW_H
#define EXAMPLES_STATUS_VIEW_H
/*
 * The table of `wstunnel-server status`: what it shows of a status, and what keys change. No I/O.
 *
 * Some lines of figures come first, then the agents, the flows, and at a terminal a line for keys
 * and troubles. One of the two lists can be scrolled and gets the room; the other one keeps a third
 * at most. A narrow terminal gets fewer columns, a low one fewer lines of figures.
 */
#include "status_data.h"
#include "screen.h"

enum { STATUS_FILTER_MAX = 64 };

typedef struct status_view {
    const char *address; /* that was asked, for people; borrowed */
    status_order_t order;
    bool agents;                        /* these are scrolled; else the flows */
    size_t first;                       /* of the scrolled list, that is shown */
    size_t page;                        /* of them, that were shown last */
    char filter[STATUS_FILTER_MAX + 1]; /* of flows; as of status_data_arrange */
    bool editing;                       /* the filter is being typed */
    const char *trouble;                /* why the status is an old one; NULL: it is not */
    uint64_t trouble_ms;                /* how old */
} status_view_t;

/* Draws a status, which is arranged for it. `rows` and `columns` are those of a terminal; 0: all
 * rows and columns, for a file. `first` and `page` are set to what can be shown. */
void status_view_draw(screen_t *out, status_view_t *v, status_data_t *s, size_t rows,
                      size_t columns);

/* A key (terminal.h) was pressed. False: it was the one that ends the program. */
bool status_view_press(status_view_t *v, int key);

#endif
