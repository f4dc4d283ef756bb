/* SPDX-License-Identifier: MIT */
#include "status_view.h"

#include "terminal.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 512, NUMBER_MAX = 32, GAP = 1 };

static const char *const order_names[] = {[STATUS_BY_RATE] = "rate",
                                          [STATUS_BY_BYTES] = "bytes",
                                          [STATUS_BY_AGE] = "age",
                                          [STATUS_BY_USER] = "user",
                                          [STATUS_BY_DESTINATION] = "destination"};
enum { ORDERS = sizeof(order_names) / sizeof(order_names[0]) };

/* Numbers ------------------------------------------------------------------------------------ */

/* "0 B", "12.3 KiB": at most 8 columns. */
static const char *bytes_text(char out[NUMBER_MAX], uint64_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1000; unit++)
        value /= 1024;
    snprintf(out, NUMBER_MAX, "%.*f %s", unit > 0 && value < 99.95 ? 1 : 0, value, units[unit]);
    return out;
}

static const char *rate_text(char out[NUMBER_MAX], uint64_t bytes) {
    char number[NUMBER_MAX];
    snprintf(out, NUMBER_MAX, "%.24s/s", bytes_text(number, bytes));
    return out;
}

/* "12s", "3m07s", "5h02m", "12d04h": at most 7 columns for years. */
static const char *duration_text(char out[NUMBER_MAX], uint64_t ms) {
    const unsigned long long s = ms / 1000;
    if (s < 60)
        snprintf(out, NUMBER_MAX, "%llus", s);
    else if (s < 3600)
        snprintf(out, NUMBER_MAX, "%llum%02llus", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, NUMBER_MAX, "%lluh%02llum", s / 3600, s % 3600 / 60);
    else
        snprintf(out, NUMBER_MAX, "%llud%02lluh", s / 86400, s % 86400 / 3600);
    return out;
}

static const char *ms_text(char out[NUMBER_MAX], double ms) {
    if (ms < 0)
        snprintf(out, NUMBER_MAX, "-");
    else if (ms < 1000)
        snprintf(out, NUMBER_MAX, "%.*f ms", ms < 10 ? 1 : 0, ms);
    else
        snprintf(out, NUMBER_MAX, "%.1f s", ms / 1000 < 1e6 ? ms / 1000 : 1e6);
    return out;
}

/* Tables ------------------------------------------------------------------------------------- */

typedef struct column {
    const char *title;
    size_t min;     /* columns of the screen */
    unsigned share; /* of the columns that are left; 0: it is no wider than `min` */
    unsigned rank;  /* if there is no room, the columns of the highest rank are left out */
    bool right;     /* numbers */
    const char *(*text)(char buffer[NUMBER_MAX], const void *item);
} column_t;

typedef struct table {
    const column_t *columns;
    size_t count;
    const void *items;
    size_t size; /* of an item */
} table_t;

enum { COLUMNS_MAX = 12 };

static const void *item_of(const table_t *t, size_t i) {
    return (const char *)t->items + i * t->size;
}

static size_t max_of(size_t a, size_t b) {
    return a > b ? a : b;
}

/* As wide as the widest text. */
static void fit_widths(size_t widths[COLUMNS_MAX], const table_t *t, size_t items) {
    char buffer[NUMBER_MAX];
    for (size_t c = 0; c < t->count; c++) {
        const column_t *column = &t->columns[c];
        widths[c] = screen_width(column->title);
        for (size_t i = 0; i < items; i++)
            widths[c] = max_of(widths[c], screen_width(column->text(buffer, item_of(t, i))));
    }
}

/* What the columns take, with the gaps between them. */
static size_t sum_widths(const size_t widths[COLUMNS_MAX], const table_t *t, unsigned *shares) {
    size_t sum = 0;
    *shares = 0;
    for (size_t c = 0; c < t->count; c++) {
        if (widths[c] > 0) {
            sum += widths[c] + (sum > 0 ? GAP : 0);
            *shares += t->columns[c].share;
        }
    }
    return sum;
}

/* A column that is left out is 0 wide. */
static void leave_out(size_t widths[COLUMNS_MAX], const table_t *t) {
    size_t last = t->count;
    for (size_t c = 0; c < t->count; c++)
        if (widths[c] > 0 && (last == t->count || t->columns[c].rank > t->columns[last].rank))
            last = c;
    widths[last] = 0;
}

/* The same for all texts, so that columns do not move when these change. */
static void share_widths(size_t widths[COLUMNS_MAX], const table_t *t, size_t columns) {
    unsigned shares;
    for (size_t c = 0; c < t->count; c++)
        widths[c] = t->columns[c].min;
    size_t sum = sum_widths(widths, t, &shares);
    for (size_t left = t->count; left > 1 && sum > columns; left--) {
        leave_out(widths, t);
        sum = sum_widths(widths, t, &shares);
    }
    size_t spare = columns > sum ? columns - sum : 0;
    for (size_t c = 0; c < t->count && shares > 0; c++)
        if (widths[c] > 0)
            widths[c] += spare * t->columns[c].share / shares;
}

/* The titles and some items. */
static void draw_table(screen_t *out, const table_t *t, size_t first, size_t count) {
    size_t widths[COLUMNS_MAX];
    char buffer[NUMBER_MAX];
    if (out->columns > 0)
        share_widths(widths, t, out->columns);
    else
        fit_widths(widths, t, count);
    for (size_t i = 0; i <= count; i++) {
        const void *item = i > 0 ? item_of(t, first + i - 1) : NULL;
        for (size_t c = 0; c < t->count; c++) {
            const column_t *column = &t->columns[c];
            if (widths[c] == 0)
                continue;
            if (out->used > 0)
                screen_put(out, " ", GAP, false);
            screen_put(out, item != NULL ? column->text(buffer, item) : column->title, widths[c],
                       column->right);
        }
        screen_end_line(out, item != NULL ? SCREEN_PLAIN : SCREEN_REVERSED);
    }
}

/* Agents ------------------------------------------------------------------------------------- */

static const char *agent_name(char buffer[NUMBER_MAX], const void *item) {
    (void)buffer;
    return ((const status_agent_t *)item)->name;
}

static const char *agent_state(char buffer[NUMBER_MAX], const void *item) {
    (void)buffer;
    return ((const status_agent_t *)item)->state;
}

static const char *agent_sessions(char buffer[NUMBER_MAX], const void *item) {
    snprintf(buffer, NUMBER_MAX, "%llu",
             (unsigned long long)((const status_agent_t *)item)->sessions);
    return buffer;
}

static const char *agent_streams(char buffer[NUMBER_MAX], const void *item) {
    snprintf(buffer, NUMBER_MAX, "%llu",
             (unsigned long long)((const status_agent_t *)item)->streams);
    return buffer;
}

static const char *agent_trip(char buffer[NUMBER_MAX], const void *item) {
    uint64_t rtt = ((const status_agent_t *)item)->rtt_ms;
    snprintf(buffer, NUMBER_MAX, "%llu ms", (unsigned long long)rtt);
    return rtt != STATUS_UNKNOWN ? buffer : "-";
}

static const char *agent_uptime(char buffer[NUMBER_MAX], const void *item) {
    return duration_text(buffer, ((const status_agent_t *)item)->uptime_ms);
}

static const char *agent_sent(char buffer[NUMBER_MAX], const void *item) {
    return bytes_text(buffer, ((const status_agent_t *)item)->bytes_to_agent);
}

static const char *agent_received(char buffer[NUMBER_MAX], const void *item) {
    return bytes_text(buffer, ((const status_agent_t *)item)->bytes_to_client);
}

static const char *agent_address(char buffer[NUMBER_MAX], const void *item) {
    (void)buffer;
    return ((const status_agent_t *)item)->address;
}

static const char *agent_software(char buffer[NUMBER_MAX], const void *item) {
    (void)buffer;
    return ((const status_agent_t *)item)->software;
}

static const column_t agent_columns[] = {
    {"AGENT", 12, 2, 0, false, agent_name},       {"STATE", 9, 0, 1, false, agent_state},
    {"STREAMS", 7, 0, 2, true, agent_streams},    {"TO AGENT", 8, 0, 4, true, agent_sent},
    {"TO CLIENT", 9, 0, 5, true, agent_received}, {"RTT", 8, 0, 3, true, agent_trip},
    {"UP", 7, 0, 6, true, agent_uptime},          {"SESSIONS", 8, 0, 8, true, agent_sessions},
    {"ADDRESS", 21, 1, 7, false, agent_address},  {"SOFTWARE", 16, 1, 9, false, agent_software},
};

/* Flows -------------------------------------------------------------------------------------- */

static const char *flow_id(char buffer[NUMBER_MAX], const void *item) {
    uint64_t id = ((const status_flow_t *)item)->id;
    snprintf(buffer, NUMBER_MAX, "%llu", (unsigned long long)id);
    return id != STATUS_UNKNOWN ? buffer : "-";
}

static const char *flow_destination(char buffer[NUMBER_MAX], const void *item) {
    (void)buffer;
    return ((const status_flow_t *)item)->destination;
}

static const char *flow_user(char buffer[NUMBER_MAX], const void *item) {
    (void)buffer;
    const char *user = ((const status_flow_t *)item)->user;
    return user[0] != '\0' ? user : "-";
}

static const char *flow_agent(char buffer[NUMBER_MAX], const void *item) {
    (void)buffer;
    return ((const status_flow_t *)item)->agent;
}

static const char *flow_client(char buffer[NUMBER_MAX], const void *item) {
    (void)buffer;
    return ((const status_flow_t *)item)->client;
}

static const char *flow_state(char buffer[NUMBER_MAX], const void *item) {
    (void)buffer;
    return ((const status_flow_t *)item)->state;
}

static const char *flow_age(char buffer[NUMBER_MAX], const void *item) {
    return duration_text(buffer, ((const status_flow_t *)item)->age_ms);
}

static const char *flow_rate(char buffer[NUMBER_MAX], const void *item) {
    return rate_text(buffer, ((const status_flow_t *)item)->rate);
}

static const char *flow_sent(char buffer[NUMBER_MAX], const void *item) {
    return bytes_text(buffer, ((const status_flow_t *)item)->bytes_to_agent);
}

static const char *flow_received(char buffer[NUMBER_MAX], const void *item) {
    return bytes_text(buffer, ((const status_flow_t *)item)->bytes_to_client);
}

static const column_t flow_columns[] = {
    {"DESTINATION", 24, 3, 0, false, flow_destination},
    {"USER", 8, 1, 2, false, flow_user},
    {"AGENT", 8, 1, 5, false, flow_agent},
    {"RATE", 10, 0, 1, true, flow_rate},
    {"TO AGENT", 8, 0, 4, true, flow_sent},
    {"TO CLIENT", 9, 0, 3, true, flow_received},
    {"AGE", 7, 0, 6, true, flow_age},
    {"STATE", 10, 0, 8, false, flow_state},
    {"CLIENT", 16, 1, 7, false, flow_client},
    {"ID", 6, 0, 9, true, flow_id},
};

/* Figures ------------------------------------------------------------------------------------ */

enum { FIGURES_MAX = 4 };

typedef struct figures {
    char lines[FIGURES_MAX][TEXT_MAX];
    size_t count;
} figures_t;

static void add_server(figures_t *f, const status_view_t *v, const status_data_t *s) {
    char up[NUMBER_MAX];
    snprintf(f->lines[f->count++], TEXT_MAX, "wstunnel-server %.40s%s, up %s, at %.300s",
             s->version, s->draining ? ", draining" : "", duration_text(up, s->uptime_ms),
             v->address);
}

static void add_load(figures_t *f, const status_data_t *s) {
    char rate[NUMBER_MAX], sent[NUMBER_MAX], received[NUMBER_MAX], totals[TEXT_MAX / 2] = "";
    if (s->has_figures)
        snprintf(totals, sizeof(totals), "; in all %llu, %s to agents, %s to clients",
                 (unsigned long long)s->streams_opened, bytes_text(sent, s->bytes_to_agents),
                 bytes_text(received, s->bytes_to_clients));
    snprintf(f->lines[f->count++], TEXT_MAX,
             "agents %zu, %zu suspended; flows %zu, %zu opening, %s%s", s->agent_count,
             s->suspended_count, s->flow_count, s->opening_count, rate_text(rate, s->rate), totals);
}

static void add_health(figures_t *f, const status_data_t *s) {
    char used[NUMBER_MAX], limit[NUMBER_MAX], p50[NUMBER_MAX], p99[NUMBER_MAX], trip[NUMBER_MAX];
    char trip99[NUMBER_MAX], days[NUMBER_MAX + 16] = "";
    if (s->certificate_days != INT64_MAX)
        snprintf(days, sizeof(days), "; certificate %lld days", (long long)s->certificate_days);
    snprintf(f->lines[f->count++], TEXT_MAX,
             "memory %s of %s; dial p50 %s, p99 %s; round trip %s, %s; descriptors %llu of %llu%s",
             bytes_text(used, s->memory_used), bytes_text(limit, s->memory_limit),
             ms_text(p50, s->dial_p50_ms), ms_text(p99, s->dial_p99_ms),
             ms_text(trip, s->round_trip_p50_ms), ms_text(trip99, s->round_trip_p99_ms),
             (unsigned long long)s->descriptors, (unsigned long long)s->descriptors_limit, days);
}

static void add_refusals(figures_t *f, const status_data_t *s) {
    char *line = f->lines[f->count++];
    size_t len = (size_t)snprintf(line, TEXT_MAX, "refused %llu", (unsigned long long)s->refused);
    for (size_t i = 0; i < s->refusal_count && len < TEXT_MAX; i++)
        len += (size_t)snprintf(line + len, TEXT_MAX - len, "%s %s %llu", i > 0 ? "," : ":",
                                s->refusals[i].kind, (unsigned long long)s->refusals[i].count);
}

static void draw_figures(screen_t *out, const status_view_t *v, const status_data_t *s) {
    figures_t f = {.count = 0};
    add_server(&f, v, s);
    add_load(&f, s);
    if (s->has_figures) {
        add_health(&f, s);
        add_refusals(&f, s);
    }
    size_t shown = out->rows > 0 && out->rows < 4 * f.count ? 1 : f.count;
    for (size_t i = 0; i < shown; i++) {
        screen_put(out, f.lines[i], 0, false);
        screen_end_line(out, i == 0 ? SCREEN_BOLD : SCREEN_PLAIN);
    }
}

/* The whole ---------------------------------------------------------------------------------- */

static void draw_foot(screen_t *out, const status_view_t *v, const status_data_t *s) {
    char line[TEXT_MAX], age[NUMBER_MAX];
    size_t count = v->agents ? s->agent_count : s->shown_count;
    if (v->editing)
        snprintf(line, sizeof(line), "/%s_   Enter: keep it   Esc: show all", v->filter);
    else if (v->trouble != NULL)
        snprintf(line, sizeof(line), "this was %s ago: %s", duration_text(age, v->trouble_ms),
                 v->trouble);
    else
        snprintf(line, sizeof(line),
                 "%s %zu-%zu of %zu by %s%s%s   q quit  s sort  / filter  Tab %s",
                 v->agents ? "agents" : "flows", count > 0 ? v->first + 1 : 0, v->first + v->page,
                 count, v->agents ? "arrival" : order_names[v->order],
                 !v->agents && v->filter[0] != '\0' ? ", of " : "", v->agents ? "" : v->filter,
                 v->agents ? "flows" : "agents");
    screen_put(out, line, 0, false);
    screen_end_line(out, v->trouble != NULL && !v->editing ? SCREEN_BOLD : SCREEN_PLAIN);
}

/* How many items each list gets. `other`: of the one that is not scrolled, which gives way. */
static void divide_rows(size_t *scrolled, size_t *other, size_t rows, size_t wanted_other) {
    enum { TITLES = 2, ROWS_FOR_BOTH = 6 };
    if (rows < ROWS_FOR_BOTH) {
        *other = 0;
        *scrolled = rows > 1 ? rows - 1 : 0;
        return;
    }
    size_t third = (rows - TITLES) / 3;
    *other = wanted_other < third ? wanted_other : third;
    *scrolled = rows - TITLES - *other;
}

/* The part of the scrolled list that can be shown. */
static void scroll(status_view_t *v, size_t count, size_t rows) {
    size_t last = count > rows ? count - rows : 0;
    v->first = v->first < last ? v->first : last;
    v->page = count < rows ? count : rows;
}

static void draw_lists(screen_t *out, status_view_t *v, const status_data_t *s, size_t rows) {
    const table_t agents = {agent_columns, sizeof(agent_columns) / sizeof(agent_columns[0]),
                            s->agents, sizeof(*s->agents)};
    const table_t flows = {flow_columns, sizeof(flow_columns) / sizeof(flow_columns[0]), s->flows,
                           sizeof(*s->flows)};
    size_t count = v->agents ? s->agent_count : s->shown_count;
    size_t others = v->agents ? s->shown_count : s->agent_count, scrolled = count, other = others;
    if (out->rows > 0)
        divide_rows(&scrolled, &other, rows, others);
    bool both = out->rows == 0 || other > 0 || rows >= scrolled + 2;
    scroll(v, count, scrolled);
    if (v->agents || both)
        draw_table(out, &agents, v->agents ? v->first : 0, v->agents ? v->page : other);
    if (!v->agents || both)
        draw_table(out, &flows, v->agents ? 0 : v->first, v->agents ? other : v->page);
}

void status_view_draw(screen_t *out, status_view_t *v, status_data_t *s, size_t rows,
                      size_t columns) {
    screen_begin(out, rows, columns);
    status_data_arrange(s, v->order, v->filter);
    draw_figures(out, v, s);
    size_t foot = out->rows > 0 ? out->rows - 1 : 0;
    if (out->rows == 0 || foot > out->row)
        draw_lists(out, v, s, out->rows > 0 ? foot - out->row : 0);
    if (out->rows == 0)
        return;
    while (out->row < foot)
        screen_end_line(out, SCREEN_PLAIN);
    draw_foot(out, v, s);
}

/* Keys --------------------------------------------------------------------------------------- */

/* Takes the last character away, with all its bytes. */
static void shorten(char *text) {
    size_t len = strlen(text);
    while (len > 0 && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
        len--;
    text[len > 0 ? len - 1 : 0] = '\0';
}

static void edit(status_view_t *v, int key) {
    size_t len = strlen(v->filter);
    v->first = 0;
    if (key == TERMINAL_ENTER || key == TERMINAL_ESCAPE)
        v->editing = false;
    if (key == TERMINAL_ESCAPE)
        v->filter[0] = '\0';
    else if (key == TERMINAL_BACKSPACE)
        shorten(v->filter);
    else if (key >= ' ' && key < TERMINAL_BACKSPACE && len < STATUS_FILTER_MAX) {
        v->filter[len] = (char)key;
        v->filter[len + 1] = '\0';
    }
}

/* Scrolls; it is drawing that finds the end. */
static void move(status_view_t *v, int key) {
    if (key == TERMINAL_DOWN || key == 'j')
        v->first++;
    else if (key == TERMINAL_UP || key == 'k')
        v->first -= v->first > 0;
    else if (key == TERMINAL_PAGE_DOWN || key == ' ')
        v->first += v->page;
    else if (key == TERMINAL_PAGE_UP)
        v->first -= v->page < v->first ? v->page : v->first;
    else if (key == TERMINAL_HOME || key == 'g')
        v->first = 0;
    else if (key == TERMINAL_END || key == 'G')
        v->first = SIZE_MAX - SCREEN_ROWS_MAX;
}

static void sort_by(status_view_t *v, status_order_t order) {
    v->order = order;
    v->first = 0;
}

bool status_view_press(status_view_t *v, int key) {
    if (v->editing) {
        edit(v, key);
        return true;
    }
    switch (key) {
    case 'q':
        return false;
    case 's':
        sort_by(v, (status_order_t)(((unsigned)v->order + 1) % ORDERS));
        break;
    case 'r':
        sort_by(v, STATUS_BY_RATE);
        break;
    case 'b':
        sort_by(v, STATUS_BY_BYTES);
        break;
    case 'a':
        sort_by(v, STATUS_BY_AGE);
        break;
    case 'u':
        sort_by(v, STATUS_BY_USER);
        break;
    case 'd':
        sort_by(v, STATUS_BY_DESTINATION);
        break;
    case '/':
        v->editing = true;
        v->agents = false;
        v->first = 0;
        break;
    case TERMINAL_ESCAPE:
        v->filter[0] = '\0';
        break;
    case TERMINAL_TAB:
        v->agents = !v->agents;
        v->first = 0;
        break;
    default:
        move(v, key);
        break;
    }
    return true;
}
