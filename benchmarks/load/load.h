/*
 * loadgen - drives one Socket.IO server (protocol revision 5) and says what the
 * messages cost that server.
 *
 * One thread, one epoll instance, non-blocking sockets, and as much of a client
 * as the job needs, over WebSocket or long-polling.  A generator belongs to one
 * server: it connects once and stays.  With --driven it then takes commands on
 * its standard input, one slice of load per command, so that several servers
 * can be alive at once and have their turns; between the turns it only answers
 * heartbeats.
 *
 * The yardstick is CPU time of the server process and its descendants, in
 * nanoseconds from the kernel's process clocks: wall-clock figures measure the
 * machine's mood, this one does not.
 *
 *     cc -O2 -Wall -Wextra -o loadgen *.c && ./loadgen --help
 *
 * measure.c  the server from outside; latencies
 * wire.c     sockets and their buffers
 * client.c   Engine.IO and the beginnings of Socket.IO on them
 * work.c     what is asked of the server: the workloads
 * main.c     arguments, commands, slices
 */
#ifndef LOAD_H
#define LOAD_H
#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define SECOND 1000000000ull
#define MILLISECOND 1000000ull

/* ---------------------------------------------------------------- settings */

struct client;

/* What is asked of the server, and what its answers mean. */
struct workload {
    const char *name;
    void (*start)(void);        /* puts the first requests on the wire; NULL: it only connects */
    /* An event or acknowledgement of a client: its type, its id (or -1), and what follows. */
    void (*receive)(struct client *from, char type, int64_t id, const char *rest, const char *end);
    void (*attachment)(struct client *from, size_t length);
    bool event_only;            /* not offered over the msgpack parser */
};

enum transport { WEBSOCKET, POLLING, UPGRADE };

extern struct settings {
    const struct workload *workload;
    const char *host, *path, *name_space, *auth;
    enum transport transport;
    int port, pid, connections, window, payload, dialing;
    int namespaces;             /* clients are spread over so many */
    int rooms, members, named;  /* rooms, clients of each, rooms named by one emit */
    bool msgpack, driven;
    double seconds, warmup, settle, patience, rate;
} set;

void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...);
void *must(void *memory);

/* ------------------------------------------------------------------ measure */

struct reading {
    uint64_t cpu;               /* ns */
    uint64_t user, system;      /* ticks: coarse, only for their proportion */
    uint64_t resident;          /* bytes */
};

uint64_t clock_ns(clockid_t clock);
uint64_t now(void);
struct reading read_server(bool resident);
double system_share(struct reading before, struct reading after);
double ratio(double a, double b);
void count_latency(uint64_t ns);
double latency_us(double quantile);
void forget_latencies(void);

/* --------------------------------------------------------------------- wire */

struct buffer { char *data; size_t length, capacity; };

struct wire {
    int fd;                     /* -1: none */
    bool dialing;
    bool blocked;               /* the kernel took no more: EPOLLOUT is awaited */
    struct buffer in;           /* what is incomplete */
    struct buffer out;
    size_t sent;                /* of out */
    struct client *client;
    /* Takes what it can of the bytes that have come; returns how many that were. */
    size_t (*take)(struct wire *w, char *data, size_t length);
    void (*dialed)(struct wire *w);
};

extern uint64_t bytes_in;

void open_poller(void);
void watch_input(void);
char *room(struct buffer *b, size_t more);
void dial(struct wire *w);
void hang_up(struct wire *w);
void flush_wire(struct wire *w);
/* Handles what has happened, waiting for it up to `until`.  True when standard input has
 * something to say. */
bool pump(uint64_t until);
void pump_until(uint64_t until);

/* ------------------------------------------------------------------- client */

enum phase { ABSENT, OPENING, JOINING, ENTERING, PROBING, JOINED };

struct client {
    struct wire socket;         /* WebSocket */
    struct wire poll, post;     /* long-polling: what waits for the server, what tells it */
    enum phase phase;
    bool over_polling;
    bool posting, polling;      /* a request is under way */
    struct buffer queue;        /* packets for the next POST */
    size_t posted;              /* bytes of them that are under way */
    char sid[48], prefix[48];   /* prefix: the namespace and its comma, or nothing */
    uint32_t next_id;           /* of an acknowledgement */
    int64_t attached_to;        /* the acknowledgement whose attachment is awaited */
    uint64_t *asked_at;         /* by acknowledgement id, in a ring */
};

extern struct client *clients;
extern int joined, closed_by_server;
extern bool closing_expected;
extern uint64_t pings, dialed_again;

void make_clients(void);
void connect_all(void);
void leave_all(void);
bool may_close(struct wire *w);
bool may_retry(struct wire *w);
void say(struct client *c, const char *packet, size_t length);
void say_event(struct client *c, int64_t id, const char *arguments, size_t length);
void say_binary(struct client *c, const char *data, size_t length);
void flush(struct client *c);
void __attribute__((noreturn)) lost(struct client *c, const char *why);
uint32_t read_number(const char **p, const char *end);

/* --------------------------------------------------------------------- work */

extern uint64_t messages, in_flight, skipped;
extern bool stopping;           /* no new requests */

void prepare_work(void);
const struct workload *workload_named(const char *name);
void emit_scheduled(uint64_t due);

#endif
