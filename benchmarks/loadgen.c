/*
 * loadgen - drives one Socket.IO server (protocol revision 5, WebSocket) and
 * says what the messages cost that server.
 *
 * One thread, one epoll instance, non-blocking sockets, and as much of a
 * WebSocket client as the job needs.  A generator belongs to one server: it
 * connects once and stays.  With --driven it then takes commands on its
 * standard input, one slice of load per command, so that several servers can be
 * alive at once and have their turns; between the turns it only answers
 * heartbeats.
 *
 * The yardstick is CPU time of the server process and its descendants, in
 * nanoseconds from the kernel's process clocks: wall-clock figures measure the
 * machine's mood, this one does not.
 *
 *     cc -O2 -Wall -Wextra -o loadgen loadgen.c && ./loadgen --help
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ull
#define MILLISECOND 1000000ull

/* ---------------------------------------------------------------- settings */

struct link;

/* What is asked of the server, and what its answers mean. */
struct workload {
    const char *name;
    void (*start)(void);        /* puts the first requests on the wire */
    /* One Socket.IO packet, without the Engine.IO type before it. */
    void (*receive)(struct link *from, const char *packet, const char *end);
};

static struct {
    const struct workload *workload;
    const char *host, *path;
    int port;
    int pid;
    int connections;
    int window;
    int payload;
    int dialing;
    bool driven;
    double seconds, warmup, settle, patience;
} set = {
    .host = "127.0.0.1", .path = "/socket.io/?EIO=4&transport=websocket",
    .connections = 1, .window = 1, .payload = 64, .dialing = 64,
    .seconds = 3, .warmup = 0.1, .settle = 1, .patience = 60,
};

static const char help[] =
    "usage: loadgen WORKLOAD --port PORT --pid PID [options]\n"
    "\n"
    "workloads\n"
    "  echo      every connection keeps WINDOW events with an acknowledgement in\n"
    "            flight; a message is one event and its acknowledgement\n"
    "  fanout    the first connection emits 'bcast', the server emits 'msg' to all;\n"
    "            the next one starts when one has reached every connection, WINDOW\n"
    "            of them are in flight; a message is one delivery\n"
    "  connect   opens the connections, lets them settle, closes them again; a\n"
    "            message is one connection that has joined its namespace\n"
    "\n"
    "options\n"
    "  --port PORT        of the server\n"
    "  --pid PID          of the server: its CPU time and memory are measured\n"
    "  --host ADDRESS     IPv4 (127.0.0.1)\n"
    "  --path TARGET      (/socket.io/?EIO=4&transport=websocket)\n"
    "  --connections N    (1)\n"
    "  --window N         in flight, see above (1)\n"
    "  --payload BYTES    of one 'bcast', at least 10 (64)\n"
    "  --dialing N        handshakes under way at once (64)\n"
    "  --seconds S        length of the slice (3)\n"
    "  --warmup S         load before each slice that is not counted (0.1)\n"
    "  --settle S         connect: rest before the memory is read (1)\n"
    "  --patience S       longest wait for connections or last answers (60)\n"
    "  --driven           no slice of its own; commands on standard input, each\n"
    "                     answered with one line of JSON:\n"
    "                       run SECONDS   a slice of echo or fanout\n"
    "                       open          a round of connect\n"
    "                       quit          or the end of the input\n";

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    fputs("loadgen: ", stderr);
    vfprintf(stderr, format, rest);
    fputc('\n', stderr);
    exit(1);
}

static void *must(void *memory)
{
    if (!memory) die("out of memory");
    return memory;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) < 0) return 0;
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static uint64_t now(void) { return clock_ns(CLOCK_MONOTONIC); }

/* -------------------------------------------------- the server, from outside */

struct reading {
    uint64_t cpu;               /* ns */
    uint64_t user, system;      /* ticks: coarse, only for their proportion */
    uint64_t resident;          /* bytes */
};

static void read_process(int pid, struct reading *r)
{
    char name[48], line[1024];
    clockid_t clock;
    /* The process clock includes the running thread's current time slice and
     * the threads that have ended, to the nanosecond; /proc has ticks of 10 ms. */
    if (clock_getcpuclockid(pid, &clock)) return;
    r->cpu += clock_ns(clock);

    snprintf(name, sizeof name, "/proc/%d/stat", pid);
    FILE *f = fopen(name, "r");
    if (f) {
        unsigned long user, system;
        char *after = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
        if (after && sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                            &user, &system) == 2) {
            r->user += user;
            r->system += system;
        }
        fclose(f);
    }
}

static void read_resident(int pid, struct reading *r)
{
    char name[48], line[256];
    /* statm is cheaper, but the kernel keeps it only approximately. */
    snprintf(name, sizeof name, "/proc/%d/smaps_rollup", pid);
    FILE *f = fopen(name, "r");
    if (!f) return;
    unsigned long kilobytes;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "Rss: %lu kB", &kilobytes) == 1) r->resident += kilobytes * 1024;
    fclose(f);
}

static void read_tree(int pid, bool resident, struct reading *r)
{
    char name[512];
    read_process(pid, r);
    if (resident) read_resident(pid, r);
    snprintf(name, sizeof name, "/proc/%d/task", pid);
    DIR *threads = opendir(name);
    if (!threads) return;
    for (struct dirent *entry; (entry = readdir(threads));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "/proc/%d/task/%s/children", pid, entry->d_name);
        FILE *f = fopen(name, "r");
        if (!f) continue;
        for (int child; fscanf(f, "%d", &child) == 1;) read_tree(child, resident, r);
        fclose(f);
    }
    closedir(threads);
}

static struct reading read_server(bool resident)
{
    struct reading r = {0};
    read_tree(set.pid, resident, &r);
    if (!r.cpu) die("the server (process %d) is gone", set.pid);
    return r;
}

/* ------------------------------------------------------------------ latency */
/* Buckets of 1/32 of a power of two: a quantile is exact to about 3 %.       */

#define STEPS 32
static uint64_t bucket[64 * STEPS], measured;

static void count_latency(uint64_t ns)
{
    if (ns < STEPS) ns = STEPS;
    int power = 63 - __builtin_clzll(ns);
    bucket[power * STEPS + (int)((ns >> (power - 5)) & (STEPS - 1))]++;
    measured++;
}

static double latency_us(double quantile)
{
    uint64_t rank = (uint64_t)(quantile * (double)measured), seen = 0;
    for (int i = 0; i < 64 * STEPS; i++)
        if ((seen += bucket[i]) > rank)
            return (double)(1ull << (i / STEPS)) * (1 + (double)(i % STEPS) / STEPS) / 1e3;
    return 0;
}

static void forget_latencies(void)
{
    memset(bucket, 0, sizeof bucket);
    measured = 0;
}

/* -------------------------------------------------------------- connections */

enum phase { ABSENT, DIALING, UPGRADING, OPENING, JOINING, JOINED };

struct buffer { char *data; size_t length, capacity; };

struct link {
    int fd;
    enum phase phase;
    bool blocked;               /* the kernel took no more: EPOLLOUT is awaited */
    struct buffer in;           /* an incomplete frame */
    struct buffer out;
    size_t sent;                /* of out */
    uint32_t next_id;           /* of an acknowledgement */
    uint64_t *asked_at;         /* by acknowledgement id, in a ring */
};

static struct link *links;
static int joined, poller;
static uint32_t ring;           /* a power of two, larger than the window */
static bool stopping;           /* no new requests */
static uint64_t messages, in_flight, bytes_in;
static char incoming[1 << 20];

static char *room(struct buffer *b, size_t more)
{
    if (b->length + more > b->capacity) {
        b->capacity = (b->length + more) * 2;
        b->data = must(realloc(b->data, b->capacity));
    }
    return b->data + b->length;
}

static void __attribute__((noreturn)) lost(struct link *l, const char *why)
{
    static const char *const phases[] = { "absent", "dialing", "upgrading", "opening",
                                          "joining", "joined" };
    die("connection %ld of %d lost while %s: %s", (long)(l - links) + 1, set.connections,
        phases[l->phase], why);
}

static void watch(struct link *l, bool blocked)
{
    if (l->blocked == blocked) return;
    struct epoll_event e = { .events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data.ptr = l };
    epoll_ctl(poller, EPOLL_CTL_MOD, l->fd, &e);
    l->blocked = blocked;
}

static void flush(struct link *l)
{
    while (l->sent < l->out.length) {
        ssize_t n = send(l->fd, l->out.data + l->sent, l->out.length - l->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) { watch(l, true); return; }
        if (n < 0) lost(l, strerror(errno));
        l->sent += (size_t)n;
    }
    l->sent = l->out.length = 0;
    watch(l, false);
}

/* Appends one masked frame to what is to be sent; flush() sends it.  A constant
 * key costs this side nothing and the server as much as a random one. */
static void add_frame(struct link *l, int opcode, const char *data, size_t length)
{
    static const unsigned char key[4] = { 0x5a, 0xc3, 0x17, 0x9e };
    unsigned char *start = (unsigned char *)room(&l->out, length + 14), *p = start;
    *p++ = (unsigned char)(0x80 | opcode);
    if (length < 126) {
        *p++ = (unsigned char)(0x80 | length);
    } else if (length < 65536) {
        *p++ = 0x80 | 126;
        *p++ = (unsigned char)(length >> 8);
        *p++ = (unsigned char)length;
    } else {
        *p++ = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            *p++ = (unsigned char)((uint64_t)length >> shift);
    }
    for (int i = 0; i < 4; i++) *p++ = key[i];
    for (size_t i = 0; i < length; i++) *p++ = (unsigned char)data[i] ^ key[i & 3];
    l->out.length += (size_t)(p - start);
}

static void dial(struct link *l)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)set.port) };
    if (inet_pton(AF_INET, set.host, &to.sin_addr) != 1) die("%s is no IPv4 address", set.host);
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0) die("socket: %s (is `ulimit -n` large enough?)", strerror(errno));
    int on = 1;
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    l->phase = DIALING;
    l->blocked = true;
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT, .data.ptr = l };
    epoll_ctl(poller, EPOLL_CTL_ADD, l->fd, &e);
    if (connect(l->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        lost(l, strerror(errno));
}

static void ask_for_upgrade(struct link *l)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) lost(l, strerror(error));
    size_t space = strlen(set.path) + 256;
    l->out.length += (size_t)snprintf(room(&l->out, space), space,
        "GET %s HTTP/1.1\r\nHost: %s:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        set.path, set.host, set.port);
    l->phase = UPGRADING;
    flush(l);
}

static void hang_up(struct link *l)
{
    if (l->phase == ABSENT) return;
    close(l->fd);
    l->phase = ABSENT;
    l->in.length = l->out.length = l->sent = 0;
}

/* ---------------------------------------------------------------- workloads */

static uint32_t read_number(const char **p, const char *end)
{
    uint32_t n = 0;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) n = n * 10 + (uint32_t)(**p - '0');
    return n;
}

static const char echo_arguments[] = "[\"echo\",{\"n\":123,\"s\":\"hello world\"}]";

static void emit_echo(struct link *l)
{
    char text[32 + sizeof echo_arguments];
    uint32_t id = l->next_id++;
    int length = sprintf(text, "42%u%s", id, echo_arguments);
    l->asked_at[id & (ring - 1)] = now();
    in_flight++;
    add_frame(l, 1, text, (size_t)length);
}

static void start_echo(void)
{
    for (struct link *l = links; l < links + set.connections; l++) {
        if (!l->asked_at) l->asked_at = must(calloc(ring, sizeof *l->asked_at));
        for (int i = 0; i < set.window; i++) emit_echo(l);
        flush(l);
    }
}

static void receive_echo(struct link *l, const char *p, const char *end)
{
    if (*p++ != '3') return;
    uint64_t *asked_at = &l->asked_at[read_number(&p, end) & (ring - 1)];
    if (!*asked_at) lost(l, "an acknowledgement that nothing asked for");
    if (!memmem(p, (size_t)(end - p), "hello world", 11))
        lost(l, "an acknowledgement without the event's argument");
    count_latency(now() - *asked_at);
    *asked_at = 0;
    messages++;
    in_flight--;
    if (!stopping) emit_echo(l);
}

static uint32_t next_broadcast;
static uint32_t *reached;           /* connections, by broadcast, in a ring */
static uint64_t *broadcast_at;

/* The payload begins with its number, so that a receiver knows what it got. */
static void emit_broadcast(void)
{
    static char *text;
    if (!text) text = must(malloc((size_t)set.payload + 32));
    int length = sprintf(text, "42[\"bcast\",\"%010u", next_broadcast);
    memset(text + length, 'x', (size_t)set.payload - 10);
    length += set.payload - 10;
    length += sprintf(text + length, "\"]");
    reached[next_broadcast & (ring - 1)] = 0;
    broadcast_at[next_broadcast & (ring - 1)] = now();
    next_broadcast++;
    in_flight += (uint64_t)set.connections;
    add_frame(links, 1, text, (size_t)length);
    flush(links);
}

static void start_fanout(void)
{
    for (int i = 0; i < set.window; i++) emit_broadcast();
}

static void receive_fanout(struct link *l, const char *p, const char *end)
{
    static const char event[] = "2[\"msg\",\"";
    if (*p != '2') return;
    if (end - p != (long)sizeof event - 1 + set.payload + 2 || memcmp(p, event, sizeof event - 1))
        lost(l, "an event other than the one that was broadcast");
    p += sizeof event - 1;
    const char *digits_end = p + 10;
    uint32_t slot = read_number(&p, digits_end) & (ring - 1);
    messages++;
    in_flight--;
    if (++reached[slot] < (uint32_t)set.connections) return;
    count_latency(now() - broadcast_at[slot]);
    if (!stopping) emit_broadcast();
}

static void ignore(struct link *l, const char *p, const char *end) { (void)l, (void)p, (void)end; }

static const struct workload workloads[] = {
    { "echo", start_echo, receive_echo },
    { "fanout", start_fanout, receive_fanout },
    { "connect", NULL, ignore },
};

/* ---------------------------------------------------------------- receiving */

/* One Engine.IO packet in a text frame. */
static void receive_packet(struct link *l, const char *p, size_t length)
{
    if (!length) return;
    switch (*p) {
    case '0':
        add_frame(l, 1, "40", 2);
        l->phase = JOINING;
        return;
    case '1':
        lost(l, "the server closed the session");
    case '2':
        add_frame(l, 1, "3", 1);
        return;
    case '4':
        if (length < 2) lost(l, "an empty message");
        if (p[1] == '4') lost(l, "the namespace refused the connection");
        if (p[1] != '0') {
            set.workload->receive(l, p + 1, p + length);
        } else if (l->phase == JOINING) {
            l->phase = JOINED;
            joined++;
        }
        return;
    }
}

/* Handles the complete frames at the beginning of data; how many bytes it took. */
static size_t receive_frames(struct link *l, const char *data, size_t length)
{
    size_t taken = 0;
    while (length - taken >= 2) {
        const unsigned char *head = (const unsigned char *)data + taken;
        size_t size = head[1] & 0x7f, before = 2;
        int wide = size == 126 ? 2 : size == 127 ? 8 : 0;
        if (length - taken < before + (size_t)wide) break;
        if (wide) size = 0;
        for (; wide; wide--) size = size << 8 | head[before++];
        if (length - taken < before + size) break;
        const char *body = (const char *)head + before;
        switch (head[0]) {
        case 0x81: receive_packet(l, body, size); break;
        case 0x88: lost(l, "the server closed the WebSocket");
        case 0x89: add_frame(l, 10, body, size); break;
        case 0x8a: break;
        default: lost(l, "a frame that is not a whole text message");
        }
        taken += before + size;
    }
    return taken;
}

static void receive(struct link *l)
{
    memcpy(incoming, l->in.data ? l->in.data : "", l->in.length);
    ssize_t n = recv(l->fd, incoming + l->in.length, sizeof incoming - l->in.length, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) lost(l, n ? strerror(errno) : "closed by the server");
    bytes_in += (uint64_t)n;
    size_t length = l->in.length + (size_t)n, taken = 0;
    if (l->phase == UPGRADING) {
        const char *end = memmem(incoming, length, "\r\n\r\n", 4);
        if (end) {
            if (memcmp(incoming, "HTTP/1.1 101", 12)) lost(l, "the upgrade was refused");
            taken = (size_t)(end - incoming) + 4;
            l->phase = OPENING;
        }
    }
    if (l->phase >= OPENING) taken += receive_frames(l, incoming + taken, length - taken);
    if (length - taken == sizeof incoming) lost(l, "a frame too large for this client");
    l->in.length = 0;
    if (length > taken) {
        memcpy(room(&l->in, length - taken), incoming + taken, length - taken);
        l->in.length = length - taken;
    }
    /* Whatever this read has caused leaves in one write. */
    if (l->out.length && !l->blocked) flush(l);
}

/* Handles what has happened, waiting for it up to `until`.  True when standard
 * input has something to say (its event carries no connection). */
static bool pump(uint64_t until)
{
    struct epoll_event events[256];
    uint64_t t = now();
    int wait = until > t ? (int)((until - t + MILLISECOND - 1) / MILLISECOND) : 0;
    int n = epoll_wait(poller, events, 256, wait);
    bool commanded = false;
    for (int i = 0; i < n; i++) {
        struct link *l = events[i].data.ptr;
        if (!l) { commanded = true; continue; }
        if (l->phase == DIALING) { ask_for_upgrade(l); continue; }
        if (events[i].events & EPOLLOUT) flush(l);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(l);
    }
    return commanded;
}

static void pump_until(uint64_t until)
{
    while (now() < until) pump(until);
}

/* ------------------------------------------------------------------- slices */

static void connect_all(void)
{
    uint64_t limit = now() + (uint64_t)(set.patience * SECOND);
    joined = 0;
    for (int dialed = 0; joined < set.connections;) {
        while (dialed < set.connections && dialed - joined < set.dialing) dial(&links[dialed++]);
        pump(now() + 20 * MILLISECOND);
        if (now() > limit)
            die("only %d of %d connections joined within %g s", joined, set.connections,
                set.patience);
    }
}

/* Waits until the server uses less than 2 % of a core. */
static void await_rest(void)
{
    const uint64_t step = 50 * MILLISECOND, limit = now() + (uint64_t)(set.patience * SECOND);
    for (int quiet = 0; quiet < 3 && now() < limit;) {
        uint64_t before = read_server(false).cpu;
        pump_until(now() + step);
        quiet = read_server(false).cpu - before < step / 50 ? quiet + 1 : 0;
    }
}

static double ratio(double a, double b) { return b > 0 ? a / b : 0; }

static double system_share(struct reading a, struct reading b)
{
    double user = (double)(b.user - a.user), system = (double)(b.system - a.system);
    return ratio(system, user + system);
}

static void run(double seconds)
{
    uint64_t total_before = messages;
    stopping = false;
    set.workload->start();
    pump_until(now() + (uint64_t)(set.warmup * SECOND));

    forget_latencies();
    uint64_t messages_before = messages, bytes_before = bytes_in;
    struct reading before = read_server(false);
    uint64_t own_before = clock_ns(CLOCK_PROCESS_CPUTIME_ID), begin = now();
    pump_until(begin + (uint64_t)(seconds * SECOND));
    struct reading after = read_server(false);
    double elapsed = (double)(now() - begin);
    double own = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own_before);
    uint64_t count = messages - messages_before, cpu = after.cpu - before.cpu;
    double bytes = (double)(bytes_in - bytes_before);

    /* Every request is answered before the next server has its turn. */
    stopping = true;
    uint64_t limit = now() + (uint64_t)(set.patience * SECOND);
    while (in_flight) {
        pump(now() + 20 * MILLISECOND);
        if (now() > limit) die("%llu answers are missing", (unsigned long long)in_flight);
    }

    printf("{\"workload\":\"%s\",\"connections\":%d,\"window\":%d,\"payload\":%d,"
           "\"seconds\":%.6f,\"messages\":%llu,\"answered\":%llu,\"server_cpu_ns\":%llu,"
           "\"cpu_us\":%.4f,\"system_share\":%.3f,\"server_busy\":%.3f,\"generator_busy\":%.3f,"
           "\"per_second\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"bytes_per_message\":%.1f}\n",
           set.workload->name, set.connections, set.window, set.payload, elapsed / SECOND,
           (unsigned long long)count, (unsigned long long)(messages - total_before),
           (unsigned long long)cpu, ratio((double)cpu / 1e3, (double)count), system_share(before, after),
           (double)cpu / elapsed, own / elapsed, (double)count / elapsed * SECOND,
           latency_us(0.5), latency_us(0.99), ratio(bytes, (double)count));
}

static void open_and_close(void)
{
    struct reading before = read_server(true);
    uint64_t begin = now();
    connect_all();
    double elapsed = (double)(now() - begin);
    pump_until(now() + 50 * MILLISECOND);       /* what the last ones left to do */
    struct reading after = read_server(false);
    pump_until(now() + (uint64_t)(set.settle * SECOND));
    struct reading settled = read_server(true);
    for (struct link *l = links; l < links + set.connections; l++) hang_up(l);
    await_rest();
    struct reading closed = read_server(false);

    double n = set.connections;
    int64_t grown = (int64_t)(settled.resident - before.resident);
    printf("{\"workload\":\"connect\",\"connections\":%d,\"seconds\":%.6f,\"messages\":%d,"
           "\"server_cpu_ns\":%llu,\"cpu_us\":%.4f,\"system_share\":%.3f,"
           "\"close_cpu_us\":%.4f,\"per_second\":%.1f,\"resident_before\":%llu,"
           "\"resident\":%llu,\"bytes_per_connection\":%.1f}\n",
           set.connections, elapsed / SECOND, joined,
           (unsigned long long)(after.cpu - before.cpu), (double)(after.cpu - before.cpu) / 1e3 / n,
           system_share(before, after), (double)(closed.cpu - settled.cpu) / 1e3 / n,
           n / elapsed * SECOND, (unsigned long long)before.resident,
           (unsigned long long)settled.resident, (double)grown / n);
}

static void obey(char *command)
{
    double seconds;
    bool connects = !set.workload->start;
    if (!connects && sscanf(command, "run %lf", &seconds) == 1) run(seconds);
    else if (connects && !strcmp(command, "open")) open_and_close();
    else if (!strcmp(command, "quit")) exit(0);
    else die("'%s' is no command of %s", command, set.workload->name);
    fflush(stdout);
}

static void obey_input(void)
{
    static char text[256];
    static size_t length;
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
    if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &e) < 0)
        die("--driven needs a pipe or a terminal as standard input");
    for (;;) {
        while (!pump(now() + SECOND)) {}
        ssize_t n = read(STDIN_FILENO, text + length, sizeof text - 1 - length);
        if (n <= 0) return;
        length += (size_t)n;
        text[length] = 0;
        for (char *end; (end = strchr(text, '\n'));) {
            *end++ = 0;
            obey(text);
            length -= (size_t)(end - text);
            memmove(text, end, length + 1);
        }
        if (length == sizeof text - 1) die("a command of more than %zu characters", length);
    }
}

/* --------------------------------------------------------------------- main */

static double number(const char *name, const char *text, double least)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || value < least)
        die("--%s takes a number of at least %g, not '%s'", name, least, text);
    return value;
}

static void read_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        { "port", 1, NULL, 'p' },     { "pid", 1, NULL, 'i' },      { "host", 1, NULL, 'h' },
        { "path", 1, NULL, 't' },     { "connections", 1, NULL, 'c' }, { "window", 1, NULL, 'w' },
        { "payload", 1, NULL, 'l' },  { "dialing", 1, NULL, 'd' },  { "seconds", 1, NULL, 's' },
        { "warmup", 1, NULL, 'u' },   { "settle", 1, NULL, 'e' },   { "patience", 1, NULL, 'a' },
        { "driven", 0, NULL, 'D' },   { "help", 0, NULL, 'H' },     { NULL, 0, NULL, 0 },
    };
    int index = 0;
    for (int o; (o = getopt_long(argc, argv, "", options, &index)) != -1;) {
        const char *name = options[index].name;
        switch (o) {
        case 'p': set.port = (int)number(name, optarg, 1); break;
        case 'i': set.pid = (int)number(name, optarg, 1); break;
        case 'h': set.host = optarg; break;
        case 't': set.path = optarg; break;
        case 'c': set.connections = (int)number(name, optarg, 1); break;
        case 'w': set.window = (int)number(name, optarg, 1); break;
        case 'l': set.payload = (int)number(name, optarg, 10); break;
        case 'd': set.dialing = (int)number(name, optarg, 1); break;
        case 's': set.seconds = number(name, optarg, 0.001); break;
        case 'u': set.warmup = number(name, optarg, 0); break;
        case 'e': set.settle = number(name, optarg, 0); break;
        case 'a': set.patience = number(name, optarg, 0.001); break;
        case 'D': set.driven = true; break;
        case 'H': fputs(help, stdout); exit(0);
        default: fputs(help, stderr); exit(2);
        }
    }
    for (size_t i = 0; optind == argc - 1 && i < sizeof workloads / sizeof *workloads; i++)
        if (!strcmp(argv[optind], workloads[i].name)) set.workload = &workloads[i];
    if (!set.workload || !set.port || !set.pid) { fputs(help, stderr); exit(2); }
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    for (ring = 16; ring < 4 * (uint32_t)set.window; ring *= 2) {}
    links = must(calloc((size_t)set.connections, sizeof *links));
    reached = must(calloc(ring, sizeof *reached));
    broadcast_at = must(calloc(ring, sizeof *broadcast_at));
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0) die("epoll: %s", strerror(errno));

    read_server(false);
    bool connects = !set.workload->start;
    if (!connects) connect_all();
    if (set.driven) {
        printf("{\"workload\":\"%s\",\"ready\":%d}\n", set.workload->name, joined);
        fflush(stdout);
        obey_input();
    } else if (connects) {
        open_and_close();
    } else {
        run(set.seconds);
    }
    return 0;
}
