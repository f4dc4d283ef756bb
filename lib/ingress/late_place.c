/* SPDX-License-Identifier: MIT */
/* Places that outlive their flows (late_place.h). */
#include "late_place.h"

typedef struct place {
    wst__list_t node;
    wst__deadline_t deadline;
    wst__late_places_t *late;
    wst__dial_turn_t turn;
    wst__account_t *account; /* referenced: its address identifies the user of the turn */
} place_t;

void wst__late_places_init(wst__late_places_t *late, wst_ctx_t *ctx) {
    late->ctx = ctx;
    wst__list_init(&late->places);
}

static void give_back(place_t *place) {
    wst_ctx_t *ctx = place->late->ctx;
    wst__deadline_clear(&ctx->deadlines, &place->deadline);
    wst__list_remove(&place->node);
    wst__dial_turn_drop(&place->turn);
    wst__account_unref(place->account);
    wst__free(&ctx->allocator, place);
}

static void on_late(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    give_back(WST__CONTAINER(deadline, place_t, deadline));
}

void wst__late_places_free(wst__late_places_t *late) {
    wst__list_t *node;
    while ((node = wst__list_first(&late->places)) != NULL)
        give_back(WST__CONTAINER(node, place_t, node));
}

void wst__late_place_keep(wst__late_places_t *late, wst__dial_turn_t *turn,
                          wst__account_t *account) {
    place_t *place = wst__zalloc(&late->ctx->allocator, sizeof(*place));
    if (place == NULL) {
        wst__dial_turn_drop(turn);
        return;
    }
    place->late = late;
    place->account = account;
    wst__account_ref(account);
    wst__dial_turn_hand_on(turn, &place->turn);
    wst__list_append(&late->places, &place->node);
    wst__deadline_in(late->ctx, &place->deadline, WST__LATE_MS, on_late);
}
