/* Arguments, commands, and the slices that they ask for. */
#include "load.h"

#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

struct settings set = {
    .host = "127.0.0.1", .path = "/socket.io/?EIO=4", .name_space = "", .auth = "",
    .connections = 1, .window = 1, .payload = 64, .dialing = 64, .members = 1, .named = 1,
    .seconds = 3, .warmup = 0.1, .settle = 1, .patience = 60,
};

static const char help[] =
    "usage: loadgen WORKLOAD --port PORT --pid PID [options]\n"
    "\n"
    "workloads\n"
    "  echo      every connection keeps WINDOW events with an acknowledgement in\n"
    "            flight; a message is one event and its acknowledgement\n"
    "  typed     the same with an argument of one kilobyte\n"
    "  binary    the same with an attachment of PAYLOAD bytes, there and back\n"
    "  fanout    the first client emits 'bcast', the server emits 'msg' to all (with\n"
    "            --namespaces: to all of its namespace, with --rooms: 'room', to the\n"
    "            members of those it names; then clients take turns); the next starts\n"
    "            when one has reached all of them, WINDOW of them are in flight; a\n"
    "            message is one delivery\n"
    "  ask       fanout whose recipients acknowledge; the server tells the one who\n"
    "            asked how many have; a message is one delivery and its answer\n"
    "  connect   opens the connections, lets them settle, closes them again; a\n"
    "            message is one connection that has joined its namespace\n"
    "\n"
    "options\n"
    "  --port PORT        of the server\n"
    "  --pid PID          of the server: its CPU time and memory are measured\n"
    "  --host ADDRESS     IPv4 (127.0.0.1)\n"
    "  --path TARGET      (/socket.io/?EIO=4)\n"
    "  --transport NAME   websocket, polling, or upgrade: from one to the other\n"
    "  --parser NAME      json or msgpack (echo and fanout)\n"
    "  --connections N    (1)\n"
    "  --window N         in flight, see above (1)\n"
    "  --payload BYTES    of one 'bcast', at least 10 (64)\n"
    "  --namespace NAME   (/)\n"
    "  --namespaces N     spread the clients over NAME0, NAME1, …\n"
    "  --auth JSON        sent when a namespace is joined\n"
    "  --rooms N          room r has the clients r, r+1, … as members\n"
    "  --members N        of every room (1)\n"
    "  --named N          rooms named by one emit: r, r+3, … (1)\n"
    "  --rate R           echo: an open loop of R events per second\n"
    "  --dialing N        handshakes under way at once (64)\n"
    "  --seconds S        length of the slice (3)\n"
    "  --warmup S         load before each slice that is not counted (0.1)\n"
    "  --settle S         connect: rest before the memory is read (1)\n"
    "  --patience S       longest wait for connections or last answers (60)\n"
    "  --urgent           go before other processes of this core, if that is allowed\n"
    "  --driven           no slice of its own; commands on standard input, each\n"
    "                     answered with one line of JSON:\n"
    "                       run SECONDS [RATE]   a slice of load\n"
    "                     of connect:\n"
    "                       open            up and down\n"
    "                       up [DIALING]    open the connections, let them settle\n"
    "                       rest SECONDS    only answer heartbeats\n"
    "                       down            close them and wait until the server rests\n"
    "                       kick            let the server close them\n"
    "                     quit, or the end of the input\n";

void die(const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    fputs("loadgen: ", stderr);
    vfprintf(stderr, format, rest);
    fputc('\n', stderr);
    exit(1);
}

void *must(void *memory)
{
    if (!memory) die("out of memory");
    return memory;
}

/* ------------------------------------------------------------------- slices */

/* Waits, but not for ever, until the server uses less than 2 % of a core; when that began. */
static uint64_t await_rest(void)
{
    const uint64_t step = 50 * MILLISECOND, limit = now() + 10 * SECOND;
    uint64_t since = now();
    for (int quiet = 0; quiet < 3 && now() < limit;) {
        uint64_t before = read_server(false).cpu;
        pump_until(now() + step);
        quiet = read_server(false).cpu - before < step / 50 ? quiet + 1 : 0;
        if (!quiet) since = now();
    }
    return since;
}

/* Events at their times, whatever the server does. */
static void pump_scheduled(uint64_t until)
{
    double interval = SECOND / set.rate;
    uint64_t begin = now(), sent = 0;
    for (uint64_t t; (t = now()) < until;) {
        uint64_t due = begin + (uint64_t)((double)sent * interval);
        if (due > t) { pump(due < until ? due : until); continue; }
        emit_scheduled(due);
        if (++sent % 16 == 0) pump(0);
    }
}

static void load_until(uint64_t until)
{
    if (set.rate > 0) pump_scheduled(until);
    else pump_until(until);
}

static void run(double seconds)
{
    uint64_t total_before = messages;
    stopping = false;
    if (set.rate == 0) set.workload->start();
    load_until(now() + (uint64_t)(set.warmup * SECOND));

    forget_latencies();
    skipped = 0;
    uint64_t messages_before = messages, bytes_before = bytes_in;
    struct reading before = read_server(false);
    uint64_t own_before = clock_ns(CLOCK_PROCESS_CPUTIME_ID), begin = now();
    load_until(begin + (uint64_t)(seconds * SECOND));
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

    printf("{\"workload\":\"%s\",\"connections\":%d,\"window\":%d,\"payload\":%d,\"rate\":%.1f,"
           "\"seconds\":%.6f,\"messages\":%llu,\"answered\":%llu,\"skipped\":%llu,"
           "\"server_cpu_ns\":%llu,\"cpu_us\":%.4f,\"system_share\":%.3f,\"server_busy\":%.3f,"
           "\"generator_busy\":%.3f,\"per_second\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
           "\"p999_us\":%.1f,\"max_us\":%.1f,\"bytes_per_message\":%.1f}\n",
           set.workload->name, set.connections, set.window, set.payload, set.rate,
           elapsed / SECOND, (unsigned long long)count,
           (unsigned long long)(messages - total_before), (unsigned long long)skipped,
           (unsigned long long)cpu, ratio((double)cpu / 1e3, (double)count),
           system_share(before, after), (double)cpu / elapsed, own / elapsed,
           (double)count / elapsed * SECOND, latency_us(0.5), latency_us(0.99),
           latency_us(0.999), latency_us(1), ratio(bytes, (double)count));
}

static struct reading fresh, opened, settled;   /* before, after and some time after connecting */

static void up(void)
{
    fresh = read_server(true);
    dialed_again = 0;
    uint64_t begin = now();
    connect_all();
    double elapsed = (double)(now() - begin), n = set.connections;
    pump_until(now() + 50 * MILLISECOND);       /* what the last ones left to do */
    opened = read_server(false);
    pump_until(now() + (uint64_t)(set.settle * SECOND));
    settled = read_server(true);
    int64_t grown = (int64_t)(settled.resident - fresh.resident);
    printf("{\"workload\":\"connect\",\"connections\":%d,\"seconds\":%.6f,\"messages\":%d,"
           "\"server_cpu_ns\":%llu,\"cpu_us\":%.4f,\"system_share\":%.3f,\"per_second\":%.1f,"
           "\"resident_before\":%llu,\"resident\":%llu,\"bytes_per_connection\":%.1f,"
           "\"dialed_again\":%llu",
           set.connections, elapsed / SECOND, joined,
           (unsigned long long)(opened.cpu - fresh.cpu),
           (double)(opened.cpu - fresh.cpu) / 1e3 / n, system_share(fresh, opened),
           n / elapsed * SECOND, (unsigned long long)fresh.resident,
           (unsigned long long)settled.resident, (double)grown / n,
           (unsigned long long)dialed_again);
}

static void down(bool by_server)
{
    struct reading before = read_server(false);
    uint64_t begin = now(), limit = begin + (uint64_t)(set.patience * SECOND);
    if (by_server) {
        closing_expected = true;
        closed_by_server = 0;
        say_event(clients, -1, "[\"kick\"]", 8);
        flush(clients);
        while (closed_by_server < set.connections) {
            pump(now() + 20 * MILLISECOND);
            if (now() > limit) die("the server closed only %d of %d connections",
                                   closed_by_server, set.connections);
        }
    }
    leave_all();
    double elapsed = (double)(await_rest() - begin);
    struct reading after = read_server(false);
    printf("\"close_cpu_us\":%.4f,\"close_seconds\":%.3f}\n",
           (double)(after.cpu - before.cpu) / 1e3 / set.connections, elapsed / SECOND);
}

static void rest(double seconds)
{
    struct reading before = read_server(false);
    uint64_t pings_before = pings, begin = now();
    pump_until(begin + (uint64_t)(seconds * SECOND));
    struct reading after = read_server(false);
    double elapsed = (double)(now() - begin), cpu = (double)(after.cpu - before.cpu);
    uint64_t count = pings - pings_before;
    printf("{\"workload\":\"rest\",\"connections\":%d,\"seconds\":%.3f,\"pings\":%llu,"
           "\"server_busy\":%.5f,\"cpu_us\":%.4f}\n", set.connections, elapsed / SECOND,
           (unsigned long long)count, cpu / elapsed, ratio(cpu / 1e3, (double)count));
}

/* ----------------------------------------------------------------- commands */

static void obey(char *command)
{
    double seconds;
    int dialing = set.dialing;
    bool connects = !set.workload->start;
    if (!connects && sscanf(command, "run %lf %lf", &seconds, &set.rate) >= 1) {
        run(seconds);
    } else if (connects && !strcmp(command, "open")) {
        up();
        printf(",");
        down(false);
    } else if (connects && !strncmp(command, "up", 2)) {
        sscanf(command, "up %d", &set.dialing);
        up();
        printf("}\n");
        set.dialing = dialing;
    } else if (connects && sscanf(command, "rest %lf", &seconds) == 1) {
        rest(seconds);
    } else if (connects && (!strcmp(command, "down") || !strcmp(command, "kick"))) {
        printf("{");
        down(*command == 'k');
    } else if (!strcmp(command, "quit")) {
        exit(0);
    } else {
        die("'%s' is no command of %s", command, set.workload->name);
    }
    fflush(stdout);
}

static void obey_input(void)
{
    static char text[256];
    static size_t length;
    watch_input();
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

/* Which of the names, separated by spaces. */
static int choice(const char *name, const char *text, const char *names)
{
    size_t length = strlen(text);
    int index = 0;
    for (const char *p = names; p && *p; index++) {
        if (!strncmp(p, text, length) && (!p[length] || p[length] == ' ')) return index;
        p = strchr(p, ' ');
        if (p) p++;
    }
    die("--%s takes one of: %s", name, names);
}

static void be_urgent(void)
{
    struct sched_param how = { .sched_priority = 1 };
    if (sched_setscheduler(0, SCHED_FIFO, &how) < 0) setpriority(PRIO_PROCESS, 0, -20);
}

static void read_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        { "port", 1, NULL, 'p' },     { "pid", 1, NULL, 'i' },      { "host", 1, NULL, 'h' },
        { "path", 1, NULL, 't' },     { "connections", 1, NULL, 'c' }, { "window", 1, NULL, 'w' },
        { "payload", 1, NULL, 'l' },  { "dialing", 1, NULL, 'd' },  { "seconds", 1, NULL, 's' },
        { "warmup", 1, NULL, 'u' },   { "settle", 1, NULL, 'e' },   { "patience", 1, NULL, 'a' },
        { "transport", 1, NULL, 'T' }, { "parser", 1, NULL, 'P' },  { "namespace", 1, NULL, 'n' },
        { "namespaces", 1, NULL, 'N' }, { "auth", 1, NULL, 'A' },   { "rooms", 1, NULL, 'r' },
        { "members", 1, NULL, 'm' },  { "named", 1, NULL, 'k' },    { "rate", 1, NULL, 'R' },
        { "urgent", 0, NULL, 'U' },   { "driven", 0, NULL, 'D' },   { "help", 0, NULL, 'H' },
        { NULL, 0, NULL, 0 },
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
        case 'T': set.transport = choice(name, optarg, "websocket polling upgrade"); break;
        case 'P': set.msgpack = choice(name, optarg, "json msgpack"); break;
        case 'n': set.name_space = optarg; break;
        case 'N': set.namespaces = (int)number(name, optarg, 1); break;
        case 'A': set.auth = optarg; break;
        case 'r': set.rooms = (int)number(name, optarg, 1); break;
        case 'm': set.members = (int)number(name, optarg, 1); break;
        case 'k': set.named = (int)number(name, optarg, 1); break;
        case 'R': set.rate = number(name, optarg, 0.001); break;
        case 'U': be_urgent(); break;
        case 'D': set.driven = true; break;
        case 'H': fputs(help, stdout); exit(0);
        default: fputs(help, stderr); exit(2);
        }
    }
    if (optind == argc - 1) set.workload = workload_named(argv[optind]);
    if (!set.workload || !set.port || !set.pid) { fputs(help, stderr); exit(2); }
    if (set.members > set.connections) die("a room cannot have more members than clients");
    if (set.named > 1 && set.rooms != set.connections)
        die("--named wants as many rooms as connections");
    if (set.msgpack && (set.workload->event_only || *set.name_space || set.rooms
                        || set.transport != WEBSOCKET || set.payload < 32 || set.payload > 255))
        die("--parser msgpack offers echo and fanout over WebSocket, with 32 to 255 bytes");
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_TIMERSLACK, 1000ul);           /* scheduled events want exact times */

    open_poller();
    make_clients();
    prepare_work();

    read_server(false);
    bool connects = !set.workload->start;
    if (!connects) connect_all();
    if (set.driven) {
        printf("{\"workload\":\"%s\",\"ready\":%d}\n", set.workload->name, joined);
        fflush(stdout);
        obey_input();
        /* What many leave behind is not to be counted against those who come next. */
        leave_all();
        if (set.connections >= 500) await_rest();
    } else if (connects) {
        up();
        printf(",");
        down(false);
    } else {
        run(set.seconds);
    }
    return 0;
}
