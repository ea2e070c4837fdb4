/*
 * floor_server - what the kernel alone charges for the load of loadgen.c.
 *
 * Answers what the generator asks and nothing else: no checks, no limits, no
 * heartbeat, one acknowledgement copied from its event, one frame built per
 * broadcast and sent to every connection.  No server of any language can be
 * cheaper than its system calls; "times the bare send" in the results is
 * measured against this one.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_CLIENTS = 1 << 16, READ_SIZE = 1 << 16, OUT_SIZE = 1 << 20 };

struct client { bool open, upgraded; };

static struct client clients[MAX_CLIENTS];          /* by file descriptor */
static int highest;
static unsigned char input[READ_SIZE];
static char answers[OUT_SIZE], broadcasts[OUT_SIZE];
static size_t answers_length, broadcasts_length;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void add_text(char *out, size_t *length, const char *text, size_t size)
{
    if (*length + size + 4 > OUT_SIZE) { fprintf(stderr, "floor_server: too much at once\n"); exit(1); }
    char *p = out + *length;
    *p++ = (char)0x81;
    if (size < 126) {
        *p++ = (char)size;
    } else {
        *p++ = 126;
        *p++ = (char)(size >> 8);
        *p++ = (char)size;
    }
    memcpy(p, text, size);
    *length = (size_t)(p - out) + size;
}

static void write_all(int fd, const char *data, size_t length)
{
    while (length) {
        ssize_t n = send(fd, data, length, MSG_NOSIGNAL);
        /* The generator reads as fast as it can: a full socket is a mistake of
         * the measurement, and waiting for it would only hide that. */
        if (n <= 0) { clients[fd].open = false; return; }
        data += n;
        length -= (size_t)n;
    }
}

/* `42<id>["echo",ARGUMENT]` is answered with `43<id>[ARGUMENT]`. */
static void acknowledge(const char *text, size_t length)
{
    static char answer[READ_SIZE];
    static const char event[] = "[\"echo\",";
    size_t digits = 2;
    while (digits < length && text[digits] != '[') digits++;
    if (length < digits + sizeof event - 1) return;
    memcpy(answer, text, digits);
    answer[1] = '3';
    answer[digits] = '[';
    size_t rest = length - digits - (sizeof event - 1);
    memcpy(answer + digits + 1, text + digits + sizeof event - 1, rest);
    add_text(answers, &answers_length, answer, digits + 1 + rest);
}

/* `42["bcast",PAYLOAD]` becomes `42["msg",PAYLOAD]` for everybody. */
static void broadcast(const char *text, size_t length)
{
    static char event[READ_SIZE];
    static const char from[] = "42[\"bcast\",", to[] = "42[\"msg\",";
    memcpy(event, to, sizeof to - 1);
    memcpy(event + sizeof to - 1, text + sizeof from - 1, length - (sizeof from - 1));
    add_text(broadcasts, &broadcasts_length, event, length - (sizeof from - sizeof to));
}

static void receive_text(const char *text, size_t length)
{
    if (length >= 2 && !memcmp(text, "40", 2))
        add_text(answers, &answers_length, "40{\"sid\":\"floor\"}", 16);
    else if (length > 11 && !memcmp(text, "42[\"bcast\",", 11))
        broadcast(text, length);
    else if (length > 2 && !memcmp(text, "42", 2))
        acknowledge(text, length);
}

static void receive_frames(unsigned char *p, size_t length)
{
    while (length >= 6) {
        size_t size = p[1] & 0x7f, head = 2;
        if (size == 126) { size = (size_t)p[2] << 8 | p[3]; head = 4; }
        if (length < head + 4 + size) return;
        unsigned char *key = p + head, *text = key + 4;
        for (size_t i = 0; i < size; i++) text[i] ^= key[i & 3];
        if ((p[0] & 0x0f) == 1) receive_text((char *)text, size);
        p = text + size;
        length -= head + 4 + size;
    }
}

static void receive(int fd)
{
    /* The handshake with the one key that loadgen.c sends. */
    static const char upgrade[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    static const char handshake[] = "0{\"sid\":\"floor\",\"upgrades\":[],\"pingInterval\":25000,"
                                    "\"pingTimeout\":20000,\"maxPayload\":1000000}";
    ssize_t n = recv(fd, input, sizeof input, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        clients[fd] = (struct client){0};
        close(fd);
        return;
    }
    answers_length = broadcasts_length = 0;
    if (!clients[fd].upgraded) {
        clients[fd] = (struct client){ .open = true, .upgraded = true };
        memcpy(answers, upgrade, sizeof upgrade - 1);
        answers_length = sizeof upgrade - 1;
        add_text(answers, &answers_length, handshake, sizeof handshake - 1);
    } else {
        receive_frames(input, (size_t)n);
    }
    if (answers_length) write_all(fd, answers, answers_length);
    if (broadcasts_length)
        for (int to = 0; to <= highest; to++)
            if (clients[to].open) write_all(to, broadcasts, broadcasts_length);
}

int main(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < MAX_CLIENTS ? files.rlim_max : MAX_CLIENTS;
    setrlimit(RLIMIT_NOFILE, &files);

    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, size) || listen(listener, 4096)
        || getsockname(listener, (struct sockaddr *)&at, &size))
        fail("listen");
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = { .events = EPOLLIN, .data.fd = listener };
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e)) fail("epoll");
    printf("PORT %d\n", ntohs(at.sin_port));
    fflush(stdout);

    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != listener) { receive(events[i].data.fd); continue; }
            int fd, on = 1;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                if (fd >= MAX_CLIENTS) { close(fd); continue; }
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                if (fd > highest) highest = fd;
                e = (struct epoll_event){ .events = EPOLLIN, .data.fd = fd };
                if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e)) fail("epoll");
            }
        }
    }
}
