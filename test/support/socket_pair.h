/* SPDX-License-Identifier: MIT */
#ifndef TEST_SOCKET_PAIR_H
#define TEST_SOCKET_PAIR_H
#include <stdbool.h>

/* Two connected sockets: TCP of the loopback interface, or Unix. */
void socket_pair(int fds[2], bool tcp);

#endif
