/* Sockets and their buffers, on one epoll instance. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

uint64_t bytes_in;

static int poller;
static char incoming[4 << 20];

void open_poller(void)
{
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0) die("epoll: %s", strerror(errno));
}

void watch_input(void)
{
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
    if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &e) < 0)
        die("--driven needs a pipe or a terminal as standard input");
}

char *room(struct buffer *b, size_t more)
{
    if (b->length + more > b->capacity) {
        b->capacity = (b->length + more) * 2;
        b->data = must(realloc(b->data, b->capacity));
    }
    return b->data + b->length;
}

static void watch(struct wire *w, bool blocked)
{
    if (w->blocked == blocked) return;
    struct epoll_event e = { .events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data.ptr = w };
    epoll_ctl(poller, EPOLL_CTL_MOD, w->fd, &e);
    w->blocked = blocked;
}

void flush_wire(struct wire *w)
{
    if (w->dialing) return;
    while (w->sent < w->out.length) {
        ssize_t n = send(w->fd, w->out.data + w->sent, w->out.length - w->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) { watch(w, true); return; }
        if (n < 0 && (may_close(w) || may_retry(w))) return;
        if (n < 0) lost(w->client, strerror(errno));
        w->sent += (size_t)n;
    }
    w->sent = w->out.length = 0;
    watch(w, false);
}

void dial(struct wire *w)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)set.port) };
    if (inet_pton(AF_INET, set.host, &to.sin_addr) != 1) die("%s is no IPv4 address", set.host);
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (w->fd < 0) die("socket: %s (is `ulimit -n` large enough?)", strerror(errno));
    int on = 1;
    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    w->dialing = w->blocked = true;
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT, .data.ptr = w };
    epoll_ctl(poller, EPOLL_CTL_ADD, w->fd, &e);
    if (connect(w->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        lost(w->client, strerror(errno));
}

static void answered(struct wire *w)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error && may_retry(w)) return;
    if (error) lost(w->client, strerror(error));
    w->dialing = false;
    w->dialed(w);
    flush_wire(w);
}

void hang_up(struct wire *w)
{
    if (w->fd < 0) return;
    close(w->fd);
    w->fd = -1;
    w->dialing = w->blocked = false;
    w->in.length = w->out.length = w->sent = 0;
}

static void closed(struct wire *w, const char *why)
{
    if (!closing_expected && (may_close(w) || may_retry(w))) return;
    if (!closing_expected) lost(w->client, why);
    hang_up(w);
    closed_by_server++;
}

static void receive(struct wire *w)
{
    if (w->in.length) memcpy(incoming, w->in.data, w->in.length);
    ssize_t n = recv(w->fd, incoming + w->in.length, sizeof incoming - w->in.length, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) { closed(w, n ? strerror(errno) : "closed by the server"); return; }
    bytes_in += (uint64_t)n;
    size_t length = w->in.length + (size_t)n, taken = w->take(w, incoming, length);
    if (w->fd < 0) return;
    if (length - taken == sizeof incoming) lost(w->client, "more at once than this client takes");
    w->in.length = 0;
    if (length > taken) {
        memcpy(room(&w->in, length - taken), incoming + taken, length - taken);
        w->in.length = length - taken;
    }
    /* Whatever this read has caused leaves in one write. */
    if (w->client->phase != ABSENT) flush(w->client);
}

bool pump(uint64_t until)
{
    struct epoll_event events[256];
    uint64_t t = now();
    uint64_t left = until > t ? until - t : 0;
    struct timespec wait = { .tv_sec = (time_t)(left / SECOND), .tv_nsec = (long)(left % SECOND) };
    int n = epoll_pwait2(poller, events, 256, &wait, NULL);
    bool commanded = false;
    for (int i = 0; i < n; i++) {
        struct wire *w = events[i].data.ptr;
        if (!w) { commanded = true; continue; }
        if (w->fd < 0) continue;
        if (w->dialing) { answered(w); continue; }
        if (events[i].events & EPOLLOUT) flush_wire(w);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(w);
    }
    return commanded;
}

void pump_until(uint64_t until)
{
    while (now() < until) pump(until);
}
