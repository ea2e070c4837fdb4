/* As much of an Engine.IO and Socket.IO client as the workloads need. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct client *clients;
int joined, closed_by_server;
bool closing_expected;
uint64_t pings, dialed_again;

static void dialed_socket(struct wire *w);
static void dialed_http(struct wire *w);
static size_t take_frames(struct wire *w, char *data, size_t length);
static size_t take_response(struct wire *w, char *data, size_t length);

void lost(struct client *c, const char *why)
{
    static const char *const phases[] = { "absent", "opening", "joining", "entering rooms",
                                          "upgrading", "joined" };
    die("connection %ld of %d lost while %s: %s", (long)(c - clients) + 1, set.connections,
        phases[c->phase], why);
}

uint32_t read_number(const char **p, const char *end)
{
    uint32_t n = 0;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) n = n * 10 + (uint32_t)(**p - '0');
    return n;
}

void make_clients(void)
{
    clients = must(calloc((size_t)set.connections, sizeof *clients));
    for (int i = 0; i < set.connections; i++) {
        struct client *c = &clients[i];
        c->socket = (struct wire){ .fd = -1, .client = c, .take = take_frames,
                                   .dialed = dialed_socket };
        c->poll = c->post = (struct wire){ .fd = -1, .client = c, .take = take_response,
                                           .dialed = dialed_http };
        if (!*set.name_space) continue;
        if (set.namespaces) snprintf(c->prefix, sizeof c->prefix, "%s%d,", set.name_space,
                                     i % set.namespaces);
        else snprintf(c->prefix, sizeof c->prefix, "%s,", set.name_space);
    }
}

/* ---------------------------------------------------------------- WebSocket */

/* Appends one masked frame to what is to be sent.  A constant key costs this
 * side nothing and the server as much as a random one. */
static void add_frame(struct client *c, int opcode, const char *data, size_t length)
{
    static const unsigned char key[4] = { 0x5a, 0xc3, 0x17, 0x9e };
    struct buffer *out = &c->socket.out;
    unsigned char *start = (unsigned char *)room(out, length + 14), *p = start;
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
    out->length += (size_t)(p - start);
}

static void dialed_socket(struct wire *w)
{
    struct client *c = w->client;
    size_t space = strlen(set.path) + sizeof c->sid + 256;
    w->out.length += (size_t)snprintf(room(&w->out, space), space,
        "GET %s&transport=websocket%s%s HTTP/1.1\r\nHost: %s:%d\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        set.path, *c->sid ? "&sid=" : "", c->sid, set.host, set.port);
}

/* ------------------------------------------------------------- long-polling */

static void dialed_http(struct wire *w) { (void)w; }    /* the request waits in the buffer */

static void poll_again(struct client *c)
{
    struct wire *w = &c->poll;
    size_t space = strlen(set.path) + sizeof c->sid + 128;
    w->out.length += (size_t)snprintf(room(&w->out, space), space,
        "GET %s&transport=polling%s%s HTTP/1.1\r\nHost: %s:%d\r\n\r\n",
        set.path, *c->sid ? "&sid=" : "", c->sid, set.host, set.port);
    c->polling = true;
    if (w->fd < 0) dial(w);
    else flush_wire(w);
}

static void post(struct client *c)
{
    struct wire *w = &c->post;
    c->posted = c->queue.length;
    size_t space = strlen(set.path) + sizeof c->sid + 256 + c->posted;
    char *start = room(&w->out, space);
    int head = snprintf(start, space,
        "POST %s&transport=polling&sid=%s HTTP/1.1\r\nHost: %s:%d\r\n"
        "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n\r\n",
        set.path, c->sid, set.host, set.port, c->posted);
    memcpy(start + head, c->queue.data, c->posted);
    w->out.length += (size_t)head + c->posted;
    c->posting = true;
    if (w->fd < 0) dial(w);
    else flush_wire(w);
}

/* An idle connection may be closed by the server at any time, also while the
 * next request is on its way: then the request goes out again. */
bool may_close(struct wire *w)
{
    struct client *c = w->client;
    if (w != &c->post || w->in.length) return false;
    hang_up(w);
    if (c->posting) post(c);
    return true;
}

/* ------------------------------------------------------------------ sending */

void say(struct client *c, const char *packet, size_t length)
{
    if (!c->over_polling) { add_frame(c, 1, packet, length); return; }
    char *p = room(&c->queue, length + 1);
    if (c->queue.length) { *p++ = 0x1e; c->queue.length++; }
    memcpy(p, packet, length);
    c->queue.length += length;
}

void say_binary(struct client *c, const char *data, size_t length) { add_frame(c, 2, data, length); }

/* An event (type 2) or an acknowledgement (type 3); arguments in the parser's encoding. */
static void say_packet(struct client *c, int type, int64_t id, const char *arguments, size_t length)
{
    static struct buffer b;
    b.length = 0;
    char *start = room(&b, length + 128), *p = start;
    if (set.msgpack) {
        p += sprintf(p, "%c\xa4type%c\xa3nsp\xa1/", id < 0 ? 0x83 : 0x84, type);
        if (id >= 0) {
            p += sprintf(p, "\xa2id\xce");
            for (int shift = 24; shift >= 0; shift -= 8) *p++ = (char)(id >> shift);
        }
        p += sprintf(p, "\xa4""data");
    } else {
        p += sprintf(p, "4%d%s", type, c->prefix);
        if (id >= 0) p += sprintf(p, "%lld", (long long)id);
    }
    memcpy(p, arguments, length);
    p += length;
    if (set.msgpack) say_binary(c, start, (size_t)(p - start));
    else say(c, start, (size_t)(p - start));
}

void say_event(struct client *c, int64_t id, const char *arguments, size_t length)
{
    say_packet(c, 2, id, arguments, length);
}

void flush(struct client *c)
{
    if (c->socket.out.length && !c->socket.blocked) flush_wire(&c->socket);
    if (c->over_polling && c->queue.length && !c->posting && *c->sid) post(c);
}

/* ------------------------------------------------------------------ joining */

static void join_namespace(struct client *c)
{
    static const char packet[] = "\x82\xa4type\x00\xa3nsp\xa1/";
    if (set.msgpack) {
        say_binary(c, packet, sizeof packet - 1);
    } else {
        char text[512];
        say(c, text, (size_t)snprintf(text, sizeof text, "40%s%s", c->prefix, set.auth));
    }
    c->phase = JOINING;
}

/* Room r has the clients r, r+1, … (as many as a room has members). */
static void enter_rooms(struct client *c)
{
    static struct buffer b;
    b.length = 0;
    long me = c - clients;
    memcpy(room(&b, 16), "[\"join\",[", 9);
    b.length = 9;
    for (int j = 0; j < set.members; j++) {
        long first = (me - j + (long)set.members * set.connections) % set.connections;
        for (long r = first; r < set.rooms; r += set.connections)
            b.length += (size_t)sprintf(room(&b, 32), "%s\"r%ld\"",
                                        b.data[b.length - 1] == '[' ? "" : ",", r);
    }
    memcpy(room(&b, 2), "]]", 2);
    c->phase = ENTERING;
    say_packet(c, 2, 0, b.data, b.length + 2);
}

static void has_joined(struct client *c)
{
    if (c->phase == JOINING && set.rooms) {
        enter_rooms(c);
    } else if (set.transport == UPGRADE && c->over_polling) {
        c->phase = PROBING;
        dial(&c->socket);
    } else {
        if (c->phase == PROBING) {
            hang_up(&c->poll);
            hang_up(&c->post);
        }
        c->phase = JOINED;
        joined++;
    }
}

/* ---------------------------------------------------------------- receiving */

/* A Socket.IO packet whose header has been read. */
static void receive_event(struct client *c, char type, int64_t id, const char *rest,
                          const char *end)
{
    if (type == '4') lost(c, "the namespace refused the connection");
    if (type == '1') return;
    if (type == '0') {
        if (c->phase == JOINING) has_joined(c);
    } else if (c->phase == ENTERING || c->phase == PROBING) {
        if (type == '3') has_joined(c);
    } else if (c->phase == JOINED) {
        set.workload->receive(c, type, id, rest, end);
    }
}

static void receive_message(struct client *c, const char *p, const char *end)
{
    char type = *p++;
    if (type == '5' || type == '6') {
        while (p < end && *p++ != '-') {}
    }
    if (p < end && *p == '/') {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        p = comma ? comma + 1 : end;
    }
    int64_t id = p < end && *p >= '0' && *p <= '9' ? (int64_t)read_number(&p, end) : -1;
    receive_event(c, type, id, p, end);
}

static const char *after_key(const char *p, size_t length, const char *key)
{
    const char *found = memmem(p, length, key, strlen(key));
    return found ? found + strlen(key) : NULL;
}

static void receive_msgpack(struct client *c, const char *p, size_t length)
{
    const char *type = after_key(p, length, "\xa4type"), *end = p + length;
    const char *data = after_key(p, length, "\xa4""data"), *at = after_key(p, length, "\xa2id");
    if (!type) lost(c, "a msgpack packet without a type");
    int64_t id = -1;
    if (at) {
        const unsigned char *n = (const unsigned char *)at;
        int width = *n == 0xcc ? 1 : *n == 0xcd ? 2 : *n == 0xce ? 4 : 0;
        id = width ? 0 : *n;
        for (int i = 1; i <= width; i++) id = id << 8 | n[i];
    }
    receive_event(c, (char)('0' + *type), id, data ? data : end, end);
}

static void read_sid(struct client *c, const char *p, size_t length)
{
    const char *sid = after_key(p, length, "\"sid\":\""), *end = p + length;
    if (!sid) lost(c, "a handshake without an id");
    const char *quote = memchr(sid, '"', (size_t)(end - sid));
    if (!quote || (size_t)(quote - sid) >= sizeof c->sid) lost(c, "a session id of a strange size");
    memcpy(c->sid, sid, (size_t)(quote - sid));
    c->sid[quote - sid] = 0;
}

/* One Engine.IO packet. */
static void receive_packet(struct client *c, const char *p, size_t length)
{
    if (!length) return;
    switch (*p) {
    case '0':
        if (c->over_polling) read_sid(c, p, length);
        join_namespace(c);
        return;
    case '1':
        if (!closing_expected) lost(c, "the server closed the session");
        if (c->socket.fd < 0) return;
        hang_up(&c->socket);
        closed_by_server++;
        return;
    case '2':
        pings++;
        say(c, "3", 1);
        return;
    case '3':
        /* The probe is answered: this client goes over when its poll has been. */
        if (length == 6 && c->phase == PROBING) c->over_polling = false;
        return;
    case '4':
        if (length < 2) lost(c, "an empty message");
        receive_message(c, p + 1, p + length);
        return;
    }
}

static void receive_binary(struct client *c, const char *p, size_t length)
{
    if (set.msgpack) receive_msgpack(c, p, length);
    else if (set.workload->attachment) set.workload->attachment(c, length);
    else lost(c, "a binary message");
}

static size_t take_frames(struct wire *w, char *data, size_t length)
{
    struct client *c = w->client;
    size_t taken = 0;
    if (c->phase == OPENING || c->phase == PROBING) {
        /* The answer to the upgrade request begins with H, which is no frame. */
        if (*data == 'H') {
            char *end = memmem(data, length, "\r\n\r\n", 4);
            if (!end) return 0;
            if (memcmp(data, "HTTP/1.1 101", 12)) lost(c, "the upgrade was refused");
            taken = (size_t)(end - data) + 4;
            if (c->phase == PROBING) add_frame(c, 1, "2probe", 6);
        }
    }
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
        case 0x81: receive_packet(c, body, size); break;
        case 0x82: receive_binary(c, body, size); break;
        case 0x88:
            if (!closing_expected) lost(c, "the server closed the WebSocket");
            add_frame(c, 8, body, size);
            break;
        case 0x89: add_frame(c, 10, body, size); break;
        case 0x8a: break;
        default: lost(c, "a frame that is not a whole message");
        }
        if (w->fd < 0) return length;
        taken += before + size;
    }
    return taken;
}

static void receive_payload(struct client *c, const char *p, size_t length)
{
    for (const char *end = p + length; p <= end;) {
        const char *stop = memchr(p, 0x1e, (size_t)(end - p));
        if (!stop) stop = end;
        receive_packet(c, p, (size_t)(stop - p));
        p = stop + 1;
    }
}

/* The body of a chunked answer in place; its length, or -1 while it is incomplete. */
static long join_chunks(char *p, size_t length, size_t *taken)
{
    char *from = p, *to = p, *end = p + length;
    for (bool last = false; !last;) {
        char *line = memmem(from, (size_t)(end - from), "\r\n", 2);
        if (!line) return -1;
        size_t size = strtoul(from, NULL, 16);
        if ((size_t)(end - line) < size + 4) return -1;
        from = line + 2 + size + 2;
        last = !size;
        to += size;
    }
    *taken += (size_t)(from - p);
    /* Complete: only now are the chunks moved together. */
    long body = to - p;
    from = to = p;
    for (size_t size; (size = strtoul(from, NULL, 16));) {
        char *chunk = (char *)memmem(from, (size_t)(end - from), "\r\n", 2) + 2;
        memmove(to, chunk, size);
        to += size;
        from = chunk + size + 2;
    }
    return body;
}

/* The last poll has been: the WebSocket is the transport now. */
static void go_over(struct client *c)
{
    static const char event[] = "[\"echo\",\"upgraded\"]";
    add_frame(c, 1, "5", 1);
    say_packet(c, 2, 0, event, sizeof event - 1);
}

/* One HTTP answer to a request of long-polling. */
static size_t take_response(struct wire *w, char *data, size_t length)
{
    struct client *c = w->client;
    char *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t taken = (size_t)(end - data) + 4, size = 0;
    char *body = data + taken;
    *end = 0;                   /* ends the search for header fields */
    char *field = strcasestr(data, "\r\ncontent-length:");
    bool chunked = !field && strcasestr(data, "\r\ntransfer-encoding: chunked");
    bool refused = memcmp(data, "HTTP/1.1 200", 12);
    if (field) size = strtoul(field + 17, NULL, 10);
    *end = '\r';
    if (chunked) {
        long joined_size = join_chunks(body, length - taken, &taken);
        if (joined_size < 0) return 0;
        size = (size_t)joined_size;
    } else {
        if (length - taken < size) return 0;
        taken += size;
    }
    if (refused && !closing_expected) lost(c, "a request of long-polling was refused");
    if (w == &c->post) {
        size_t rest = c->queue.length - c->posted;
        if (rest) memmove(c->queue.data, c->queue.data + c->posted + 1, --rest);
        c->queue.length = rest;
        c->posting = false;
        return taken;
    }
    c->polling = false;
    if (refused) return taken;
    receive_payload(c, body, size);
    if (c->over_polling) poll_again(c);
    else go_over(c);
    return taken;
}

/* ----------------------------------------------------------------- together */

static void open_client(struct client *c);

/* In a storm a server may refuse or forget somebody, who then tries again. */
bool may_retry(struct wire *w)
{
    struct client *c = w->client;
    if (set.workload->start || c->phase == ABSENT || c->phase == JOINED) return false;
    dialed_again++;
    hang_up(&c->socket);
    hang_up(&c->poll);
    hang_up(&c->post);
    open_client(c);
    return true;
}

static void open_client(struct client *c)
{
    c->phase = OPENING;
    c->over_polling = set.transport != WEBSOCKET;
    c->posting = false;
    c->queue.length = 0;
    *c->sid = 0;
    if (c->over_polling) poll_again(c);
    else dial(&c->socket);
}

void connect_all(void)
{
    uint64_t limit = now() + (uint64_t)(set.patience * SECOND);
    joined = 0;
    for (int opened = 0; joined < set.connections;) {
        while (opened < set.connections && opened - joined < set.dialing)
            open_client(&clients[opened++]);
        pump(now() + 20 * MILLISECOND);
        if (now() > limit)
            die("only %d of %d connections joined within %g s", joined, set.connections,
                set.patience);
    }
}

static bool all_posted(void)
{
    for (struct client *c = clients; c < clients + set.connections; c++)
        if (c->posting || c->queue.length) return false;
    return true;
}

/* Over long-polling a client says goodbye: a connection that ends says nothing. */
void leave_all(void)
{
    closing_expected = true;
    if (set.transport == POLLING) {
        uint64_t limit = now() + (uint64_t)(set.patience * SECOND);
        for (struct client *c = clients; c < clients + set.connections; c++) {
            say(c, "1", 1);
            flush(c);
        }
        while (!all_posted() && now() < limit) pump(now() + 20 * MILLISECOND);
    }
    for (struct client *c = clients; c < clients + set.connections; c++) {
        c->phase = ABSENT;
        c->queue.length = 0;
        hang_up(&c->socket);
        hang_up(&c->poll);
        hang_up(&c->post);
    }
    closing_expected = false;
}
