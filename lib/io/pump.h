/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_PUMP_H
#define WST_LIB_PUMP_H
/* The inside of a pump. */
#include <wstunnel/pump.h>

/* Breaks the pump off: both streams are reset, and on_done follows from the loop with that error.
 * False: the pump is done or has failed already. */
bool wst__pump_break(wst_pump_t *pump, int error);

#endif
