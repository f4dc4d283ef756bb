/* SPDX-License-Identifier: MIT */
/* Turns at an agent (dial_queue.h). */
#include "dial_queue.h"

#include "account.h"
#include "load_index.h"
#include "mem.h"
#include "mix.h"

#include <assert.h>
#include <wstunnel/error.h>

typedef struct dial_agent {
    wst__table_node_t node;
    wst__dial_queues_t *queues;
    uint64_t serial;
    size_t lines;
    wst__budget_t places;
    wst__load_index_t next; /* lines in which somebody waits, by the places that they have */
} dial_agent_t;

typedef struct wst__dial_line {
    wst__table_node_t node;
    dial_agent_t *agent;
    const void *user;
    wst__budget_t places;
    wst__list_t waiting;
    wst__load_entry_t entry; /* of agent->next */
} dial_line_t;

void wst__dial_queues_init(wst__dial_queues_t *queues, const wst_allocator_t *allocator,
                           uint64_t seed, size_t limit, void (*on_turn)(wst__dial_turn_t *turn)) {
    *queues = (wst__dial_queues_t){
        .allocator = allocator, .seed = seed, .limit = limit, .on_turn = on_turn};
    wst__table_init(&queues->agents, allocator);
    wst__table_init(&queues->lines, allocator);
}

void wst__dial_queues_free(wst__dial_queues_t *queues) {
    wst__table_free(&queues->agents);
    wst__table_free(&queues->lines);
}

/* Agents and lines --------------------------------------------------------------------------- */

static uint64_t hash_of_agent(const wst__dial_queues_t *queues, uint64_t serial) {
    return wst__mix(queues->seed ^ serial);
}

static uint64_t hash_of_line(const wst__dial_queues_t *queues, uint64_t serial, const void *user) {
    return wst__mix(hash_of_agent(queues, serial) ^ (uint64_t)(uintptr_t)user);
}

static dial_agent_t *find_dial_agent(const wst__dial_queues_t *queues, uint64_t serial) {
    wst__table_node_t *node = wst__table_first(&queues->agents, hash_of_agent(queues, serial));
    for (; node != NULL; node = wst__table_next(node))
        if (WST__CONTAINER(node, dial_agent_t, node)->serial == serial)
            return WST__CONTAINER(node, dial_agent_t, node);
    return NULL;
}

static dial_line_t *find_line(const wst__dial_queues_t *queues, uint64_t serial, const void *user) {
    wst__table_node_t *node = wst__table_first(&queues->lines, hash_of_line(queues, serial, user));
    for (; node != NULL; node = wst__table_next(node)) {
        dial_line_t *line = WST__CONTAINER(node, dial_line_t, node);
        if (line->agent->serial == serial && line->user == user)
            return line;
    }
    return NULL;
}

static dial_agent_t *new_dial_agent(wst__dial_queues_t *queues, uint64_t serial) {
    dial_agent_t *agent = wst__zalloc(queues->allocator, sizeof(*agent));
    if (agent == NULL)
        return NULL;
    agent->queues = queues;
    agent->serial = serial;
    agent->places.limit = queues->limit;
    wst__load_index_init(&agent->next, queues->allocator);
    wst__table_insert(&queues->agents, &agent->node, hash_of_agent(queues, serial));
    return agent;
}

static void settle_dial_agent(dial_agent_t *agent) {
    if (agent->lines > 0)
        return;
    wst__table_remove(&agent->queues->agents, &agent->node);
    wst__free(agent->queues->allocator, agent);
}

static dial_line_t *find_or_make_line(wst__dial_queues_t *queues, uint64_t serial,
                                      const void *user) {
    dial_line_t *line = find_line(queues, serial, user);
    if (line != NULL)
        return line;
    dial_agent_t *agent = find_dial_agent(queues, serial);
    if (agent == NULL && (agent = new_dial_agent(queues, serial)) == NULL)
        return NULL;
    line = wst__zalloc(queues->allocator, sizeof(*line));
    if (line == NULL) {
        settle_dial_agent(agent);
        return NULL;
    }
    agent->lines++;
    line->agent = agent;
    line->user = user;
    line->places = (wst__budget_t){.within = &agent->places, .share = WST__DIAL_SHARE};
    wst__list_init(&line->waiting);
    wst__table_insert(&queues->lines, &line->node, hash_of_line(queues, serial, user));
    return line;
}

/* Frees a line that nobody needs, and its agent if it was the last. */
static void settle_line(dial_line_t *line) {
    dial_agent_t *agent = line->agent;
    if (line->places.used > 0 || !wst__list_empty(&line->waiting))
        return;
    wst__table_remove(&agent->queues->lines, &line->node);
    wst__free(agent->queues->allocator, line);
    agent->lines--;
    settle_dial_agent(agent);
}

/* Turns -------------------------------------------------------------------------------------- */

int wst__dial_turn_take(wst__dial_queues_t *queues, wst__dial_turn_t *turn, uint64_t agent,
                        const void *user) {
    if (turn->line != NULL && turn->line->agent->serial == agent)
        return 0;
    dial_line_t *line = find_or_make_line(queues, agent, user);
    if (line == NULL)
        return WST_ENOMEM;
    if (!wst__list_empty(&line->waiting) || !wst__budget_reserve(&line->places, 1)) {
        settle_line(line);
        return WST_ELIMIT;
    }
    wst__dial_turn_drop(turn);
    turn->line = line;
    return 0;
}

bool wst__dial_turn_is_waiting(const wst__dial_turn_t *turn) {
    return turn->line != NULL && turn->node.next != NULL && !wst__list_empty(&turn->node);
}

/* After a change of a line: moves it to where it belongs in the order of lines. */
static void place_line(dial_line_t *line) {
    if (line->entry.level == NULL)
        return;
    if (wst__list_empty(&line->waiting))
        wst__load_index_remove(&line->agent->next, &line->entry);
    else
        wst__load_index_move(&line->agent->next, &line->entry, 0, line->places.used);
}

/* Gives free places to those who are next. If the line with the fewest places may have no more, no
 * other may. */
static void give_places(dial_agent_t *agent) {
    wst__load_entry_t *entry;
    while ((entry = wst__load_index_next(&agent->next, NULL)) != NULL) {
        dial_line_t *line = WST__CONTAINER(entry, dial_line_t, entry);
        if (!wst__budget_reserve(&line->places, 1))
            return;
        wst__list_t *first = wst__list_first(&line->waiting);
        wst__list_remove(first);
        place_line(line);
        agent->queues->on_turn(WST__CONTAINER(first, wst__dial_turn_t, node));
    }
}

int wst__dial_turn_wait(wst__dial_queues_t *queues, wst__dial_turn_t *turn, uint64_t agent,
                        const void *user) {
    wst__dial_turn_drop(turn);
    dial_line_t *line = find_or_make_line(queues, agent, user);
    if (line == NULL)
        return WST_ENOMEM;
    if (wst__list_empty(&line->waiting) &&
        wst__load_index_insert(&line->agent->next, &line->entry, 0, line->places.used) != 0) {
        settle_line(line);
        return WST_ENOMEM;
    }
    wst__list_init(&turn->node);
    wst__list_append(&line->waiting, &turn->node);
    turn->line = line;
    give_places(line->agent);
    return 0;
}

void wst__dial_turn_hand_on(wst__dial_turn_t *turn, wst__dial_turn_t *to) {
    assert(!wst__dial_turn_is_waiting(turn) && to->line == NULL);
    to->line = turn->line;
    turn->line = NULL;
}

void wst__dial_turn_drop(wst__dial_turn_t *turn) {
    dial_line_t *line = turn->line;
    if (line == NULL)
        return;
    dial_agent_t *agent = line->agent;
    if (wst__dial_turn_is_waiting(turn))
        wst__list_remove(&turn->node);
    else
        wst__budget_release(&line->places, 1);
    turn->line = NULL;
    place_line(line);
    give_places(agent);
    settle_line(line);
}
