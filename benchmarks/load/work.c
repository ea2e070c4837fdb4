/* What is asked of the server, and what its answers mean. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t messages, in_flight, skipped;
bool stopping;

static uint32_t ring;           /* a power of two, larger than what can be in flight */

/* --------------------------------------------- events with an acknowledgement */

static struct buffer question;  /* the event's name and argument */
static const char *sign;        /* something that the answer contains */

static void add(struct buffer *b, const char *text)
{
    size_t length = strlen(text);
    memcpy(room(b, length), text, length);
    b->length += length;
}

/* An order of about one kilobyte. */
static void prepare_typed(void)
{
    char item[160];
    add(&question, "[\"typed\",{\"id\":123456,\"customer\":\"hello world\",\"paid\":true,\"items\":[");
    for (int i = 0; i < 14; i++) {
        snprintf(item, sizeof item, "%s{\"name\":\"thing number %d\",\"count\":%d,\"price\":%d.5,"
                 "\"tags\":[\"a\",\"b\"]}", i ? "," : "", 100 + i, i + 1, 10 * i + 5);
        add(&question, item);
    }
    add(&question, "],\"note\":\"leave it at the door\"}]");
}

static void prepare_question(void)
{
    if (question.length) return;
    sign = "hello world";
    if (!strcmp(set.workload->name, "typed")) {
        prepare_typed();
    } else if (!strcmp(set.workload->name, "binary")) {
        add(&question, "[\"binary\",{\"_placeholder\":true,\"num\":0}]");
        sign = "_placeholder";
    } else if (set.msgpack) {
        add(&question, "\x92\xa4""echo\x82\xa1n\x7b\xa1s\xabhello world");
    } else {
        add(&question, "[\"echo\",{\"n\":123,\"s\":\"hello world\"}]");
    }
}

static void ask(struct client *c, uint64_t at)
{
    uint32_t id = ++c->next_id;
    if (!c->asked_at) c->asked_at = must(calloc(ring, sizeof *c->asked_at));
    if (c->asked_at[id & (ring - 1)]) { skipped++; return; }
    c->asked_at[id & (ring - 1)] = at;
    in_flight++;
    say_event(c, id, question.data, question.length);
}

static void start_echo(void)
{
    prepare_question();
    for (struct client *c = clients; c < clients + set.connections; c++) {
        for (int i = 0; i < set.window; i++) ask(c, now());
        flush(c);
    }
}

static void acknowledged(struct client *c, int64_t id)
{
    uint64_t *asked_at = &c->asked_at[id & (ring - 1)];
    if (id < 0 || !*asked_at) lost(c, "an acknowledgement that nothing asked for");
    count_latency(now() - *asked_at);
    *asked_at = 0;
    messages++;
    in_flight--;
}

static void receive_echo(struct client *c, char type, int64_t id, const char *p, const char *end)
{
    if (type != '3') return;
    if (!memmem(p, (size_t)(end - p), sign, strlen(sign)))
        lost(c, "an acknowledgement without the event's argument");
    acknowledged(c, id);
    if (!stopping && set.rate == 0) ask(c, now());
}

/* One event at the time at which it was due, however late it is: its latency
 * counts from then, so that a server that stalls is not asked less. */
void emit_scheduled(uint64_t due)
{
    static uint32_t turn;
    struct client *c = &clients[turn++ % (uint32_t)set.connections];
    prepare_question();
    ask(c, due);
    flush(c);
}

/* Binary: the attachment follows its event, there and back. */

static void ask_binary(struct client *c)
{
    static char *blob;
    if (!blob) {
        blob = must(malloc((size_t)set.payload));
        for (int i = 0; i < set.payload; i++) blob[i] = (char)(i * 31);
    }
    char text[96];
    uint32_t id = ++c->next_id;
    if (!c->asked_at) c->asked_at = must(calloc(ring, sizeof *c->asked_at));
    c->asked_at[id & (ring - 1)] = now();
    in_flight++;
    say(c, text, (size_t)snprintf(text, sizeof text, "451-%s%u%.*s", c->prefix, id,
                                  (int)question.length, question.data));
    say_binary(c, blob, (size_t)set.payload);
}

static void start_binary(void)
{
    prepare_question();
    for (struct client *c = clients; c < clients + set.connections; c++) {
        for (int i = 0; i < set.window; i++) ask_binary(c);
        flush(c);
    }
}

static void receive_binary(struct client *c, char type, int64_t id, const char *p, const char *end)
{
    (void)p, (void)end;
    if (type == '6') c->attached_to = id;
}

static void receive_blob(struct client *c, size_t length)
{
    if (length != (size_t)set.payload) lost(c, "an attachment of another size");
    acknowledged(c, c->attached_to);
    if (!stopping) ask_binary(c);
}

/* ---------------------------------------------------------------- broadcasts */

static uint32_t next_broadcast, recipients;
static uint32_t *reached;       /* clients, by broadcast, in a ring */
static uint64_t *broadcast_at;

static void prepare_broadcasts(void)
{
    reached = must(calloc(ring, sizeof *reached));
    broadcast_at = must(calloc(ring, sizeof *broadcast_at));
    recipients = (uint32_t)set.connections / (uint32_t)(set.namespaces ? set.namespaces : 1);
    if (!set.rooms) return;
    /* The union of the rooms that one emit names: r, r + 3, r + 6, … */
    char *seen = must(calloc((size_t)set.connections, 1));
    recipients = 0;
    for (int n = 0; n < set.named; n++)
        for (int j = 0; j < set.members; j++) {
            char *one = &seen[(3 * n % set.rooms + j) % set.connections];
            recipients += !*one;
            *one = 1;
        }
    free(seen);
}

static void add_target(struct buffer *b)
{
    char text[32];
    if (set.named > 1) add(b, "[");
    for (int n = 0; n < set.named; n++) {
        snprintf(text, sizeof text, "%s\"r%u\"", n ? "," : "",
                 (next_broadcast + 3 * (uint32_t)n) % (uint32_t)set.rooms);
        add(b, text);
    }
    add(b, set.named > 1 ? "]," : ",");
}

/* The payload begins with its number, so that a receiver knows what it got. */
static void emit_broadcast(void)
{
    static struct buffer b;
    char digits[16];
    bool acknowledge = !strcmp(set.workload->name, "ask");
    /* To all: always the same one, whose events come together.  Else everybody in turn. */
    bool in_turn = set.rooms || set.namespaces;
    struct client *c = &clients[in_turn ? next_broadcast % (uint32_t)set.connections : 0];
    b.length = 0;
    if (set.msgpack) {
        add(&b, "\x92\xa5""bcast\xd9");
        *room(&b, 1) = (char)set.payload;
        b.length++;
    } else {
        add(&b, acknowledge ? "[\"ask\"," : set.rooms ? "[\"room\"," : "[\"bcast\",");
        if (set.rooms) add_target(&b);
        add(&b, "\"");
    }
    snprintf(digits, sizeof digits, "%010u", next_broadcast);
    add(&b, digits);
    memset(room(&b, (size_t)set.payload), 'x', (size_t)set.payload - 10);
    b.length += (size_t)set.payload - 10;
    if (!set.msgpack) add(&b, "\"]");
    reached[next_broadcast & (ring - 1)] = 0;
    broadcast_at[next_broadcast & (ring - 1)] = now();
    in_flight += recipients;
    say_event(c, acknowledge ? (int64_t)next_broadcast : -1, b.data, b.length);
    next_broadcast++;
    flush(c);
}

static void start_broadcasts(void)
{
    for (int i = 0; i < set.window; i++) emit_broadcast();
}

/* The number of the broadcast that an event carries. */
static uint32_t number_of(struct client *c, const char *p, const char *end)
{
    static const char event[] = "[\"msg\",\"", packed[] = "\x92\xa3msg\xd9";
    const char *head = set.msgpack ? packed : event;
    size_t before = strlen(head) + set.msgpack, after = set.msgpack ? 0 : 2;
    if ((size_t)(end - p) < before + (size_t)set.payload + after || memcmp(p, head, strlen(head)))
        lost(c, "an event other than the one that was broadcast");
    if (!set.msgpack && (size_t)(end - p) != before + (size_t)set.payload + after)
        lost(c, "a payload other than the one that was broadcast");
    p += before;
    return read_number(&p, p + 10);
}

static void finished(uint32_t slot)
{
    count_latency(now() - broadcast_at[slot]);
    if (!stopping) emit_broadcast();
}

static void receive_broadcast(struct client *c, char type, int64_t id, const char *p,
                              const char *end)
{
    (void)id;
    if (type != '2') return;
    uint32_t slot = number_of(c, p, end) & (ring - 1);
    messages++;
    in_flight--;
    if (++reached[slot] == recipients) finished(slot);
}

/* Every recipient acknowledges; the server tells the asker how many have. */
static void receive_asked(struct client *c, char type, int64_t id, const char *p, const char *end)
{
    if (type == '2') {
        char text[96];
        uint32_t slot = number_of(c, p, end) & (ring - 1);
        reached[slot]++;
        say(c, text, (size_t)snprintf(text, sizeof text, "43%s%lld[1]", c->prefix, (long long)id));
        return;
    }
    if (type != '3' || id < 0) return;
    uint32_t slot = (uint32_t)id & (ring - 1);
    p++;
    if (read_number(&p, end) != recipients || reached[slot] != recipients)
        lost(c, "a broadcast that was not acknowledged by all");
    messages += recipients;
    in_flight -= recipients;
    finished(slot);
}

static void ignore(struct client *c, char type, int64_t id, const char *p, const char *end)
{
    (void)c, (void)type, (void)id, (void)p, (void)end;
}

static const struct workload workloads[] = {
    { .name = "echo", .start = start_echo, .receive = receive_echo },
    { .name = "typed", .start = start_echo, .receive = receive_echo, .event_only = true },
    { .name = "binary", .start = start_binary, .receive = receive_binary,
      .attachment = receive_blob, .event_only = true },
    { .name = "fanout", .start = start_broadcasts, .receive = receive_broadcast },
    { .name = "ask", .start = start_broadcasts, .receive = receive_asked, .event_only = true },
    { .name = "connect", .receive = ignore },
};

const struct workload *workload_named(const char *name)
{
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        if (!strcmp(name, workloads[i].name)) return &workloads[i];
    return NULL;
}

void prepare_work(void)
{
    /* An open loop has as many in flight as the server makes it have. */
    uint32_t most = set.rate > 0 ? 1024 : 4 * (uint32_t)set.window;
    for (ring = 16; ring < most; ring *= 2) {}
    prepare_broadcasts();
}
