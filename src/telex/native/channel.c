/*
 * WebSockets on sockets of our own: frames in, frames out (fronts/websocket/picows.py is the same on
 * picows).
 *
 * A Reactor watches the sockets of all Channels of one event loop with an epoll instance of its
 * own, which the loop watches in turn. It reads into one buffer that all of them share: a WebSocketConnection
 * that is idle has no buffer at all. Frames are checked, unmasked and reassembled here; what they
 * mean is decided by the Python class that extends WebSocketConnection (native_websocket.py), through these
 * methods:
 *
 *     on_message(data)     a message, when there is no session that takes it directly
 *     on_ping(data)        the payload of a ping
 *     on_close(payload)    a close frame; nothing is delivered after it
 *     on_violation(code, size)  the client broke the protocol with a message of so many bytes; only
 *                          its close frame counts from now on
 *     on_relieved()        not more than LOW_WATER bytes wait any more; more than HIGH_WATER did,
 *                          and `writable` has been false since
 *     on_lost()            the socket has been closed, unless `finish` has said so already
 *     on_error(error)      a callback has raised
 *
 * Sockets are served in three steps: all that are ready are read, then what has come is handled,
 * then what that has caused is written. The caches of kernel and interpreter stay warm for longer,
 * and who reads our answers is woken once for several of them.
 *
 * In one turn of the loop a socket is read once, READ_SIZE bytes at most, and FRAMES frames of it
 * are taken. A channel with more than that is *behind*: it is not read until they have been taken,
 * in turns to come.
 */
#include "native.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE (64 * 1024)
#define READ_LEAST 4096 /* with less room than this, what has been read is handled first */
#define EVENTS 64 /* sockets that are served before the loop has its turn again */
#define FRAMES 256 /* of one socket, before the others have their turn */
#define PATIENCE 1000000 /* nanoseconds that an answer may wait for those of other sockets */
#define KEPT (256 * 1024) /* the most that is kept of the buffer of answers */
#define HIGH_WATER (64 * 1024)
#define LOW_WATER (16 * 1024)
#define MAX_FRAGMENTS 16384
#define NOT_READ (-1)
#define LEFT_OVER (-2)
#define SMALL (16 * 1024) /* packets that fit in this leave in one piece */

enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
enum { PROTOCOL_ERROR = 1002, INVALID_TEXT = 1007, POLICY_VIOLATION = 1008, TOO_BIG = 1009 };

static PyObject *name_corked, *name_receive, *name_flush, *name_frames, *name_ready, *name_on_message,
    *name_on_ping, *name_on_close, *name_on_violation, *name_on_relieved, *name_on_lost,
    *name_on_error;

/* ------------------------------------------------------------------------------- errors */

PyObject *take_error(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    if (!type) return NULL;
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback) PyException_SetTraceback(error, traceback);
    Py_DECREF(type);
    Py_XDECREF(traceback);
    return error;
#endif
}

void set_error(PyObject *error)
{
    if (!error) return;
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(error);
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(error)), error, PyException_GetTraceback(error));
#endif
}

/* ------------------------------------------------------------------------------- bytes */

bool bytes_add(Bytes *b, const void *data, size_t size)
{
    if (b->start + b->length + size > b->capacity) {
        if (b->start) {
            memmove(b->data, b->data + b->start, b->length);
            b->start = 0;
        }
        if (b->length + size > b->capacity) {
            size_t capacity = b->length + size;
            if (b->length && capacity < 2 * b->capacity) capacity = 2 * b->capacity;
            unsigned char *grown = PyMem_Realloc(b->data, capacity);
            if (!grown) {
                PyErr_NoMemory();
                return false;
            }
            b->data = grown;
            b->capacity = capacity;
        }
    }
    if (size) memcpy(b->data + b->start + b->length, data, size);
    b->length += size;
    return true;
}

void bytes_drop(Bytes *b)
{
    PyMem_Free(b->data);
    memset(b, 0, sizeof *b);
}

/* ------------------------------------------------------------------------------- sockets */

static void watch(WebSocketConnection *c)
{
    uint32_t wanted = 0;
    if (!c->paused && !c->finishing && !c->behind) wanted |= EPOLLIN;
    if (c->output.length && !c->held) wanted |= EPOLLOUT;
    if (!c->watched || wanted == c->interest) return;
    struct epoll_event event = {.events = wanted, .data.ptr = c};
    if (epoll_ctl(c->reactor->epoll_fd, EPOLL_CTL_MOD, c->fd, &event) == 0) c->interest = wanted;
}

/* Puts a channel at the end of the reactor's list of those that are behind. As long as there is one,
 * the loop goes on polling. */
static void list(WebSocketConnection *c)
{
    Reactor *r = c->reactor;
    if (c->listed || !c->watched) return;
    c->listed = true;
    c->turn = r->turn;
    c->behind_after = NULL;
    c->behind_before = r->behind_last;
    if (r->behind_last) r->behind_last->behind_after = c;
    else r->behind_first = c;
    r->behind_last = c;
    uint64_t one = 1;
    if (!r->awake) r->awake = write(r->wake_fd, &one, sizeof one) == sizeof one;
}

static void unlist(WebSocketConnection *c)
{
    Reactor *r = c->reactor;
    if (!c->listed) return;
    c->listed = false;
    if (c->behind_before) c->behind_before->behind_after = c->behind_after;
    else r->behind_first = c->behind_after;
    if (c->behind_after) c->behind_after->behind_before = c->behind_before;
    else r->behind_last = c->behind_before;
    c->behind_before = c->behind_after = NULL;
}

/* Whether frames that have come are for a later turn. */
static void set_behind(WebSocketConnection *c, bool behind)
{
    if (behind && !c->paused) list(c);
    else unlist(c);
    if (behind == c->behind) return;
    c->behind = behind;
    watch(c);
}

/* The answers of a channel leave the reactor's; they stay readable until others are added. */
static void leave_answers(WebSocketConnection *c)
{
    if (!c->answers_length) return;
    Bytes *answers = &c->reactor->answers;
    if (c->answers_start + c->answers_length == answers->length) answers->length = c->answers_start;
    c->answers_length = 0;
    if (--c->reactor->answering == 0) answers->length = 0;
}

/* Closes the socket. The reactor's reference goes, at once or after the events being served. */
static void finish(WebSocketConnection *c)
{
    if (c->fd < 0) return;
    unlist(c);
    if (c->watched) {
        /* Not left to close(): another descriptor of this socket may be open for a moment. */
        struct epoll_event event = {0};
        epoll_ctl(c->reactor->epoll_fd, EPOLL_CTL_DEL, c->fd, &event);
    }
    close(c->fd);
    c->fd = -1;
    c->deaf = 1;
    bytes_drop(&c->partial);
    bytes_drop(&c->message);
    output_drop(&c->output);
    leave_answers(c);
    c->writable = 0;
    if (!c->watched) return;
    c->watched = false;
    c->reactor->count--;
    if (c->reactor->polling) {
        c->next_dead = c->reactor->dead;
        c->reactor->dead = c;
    } else {
        Py_DECREF(c);
    }
}

/* Something that belongs to the stream is lost: the connection is, too. Reading will tell. */
static void cut(WebSocketConnection *c)
{
    if (c->fd < 0) return;
    c->deaf = 1; /* to what comes where the rest of a frame was to come */
    shutdown(c->fd, SHUT_RDWR);
}

/* Keeps what the client does not take now: the rest of `owner`, which is a bytes object, or, without
 * one, of other data. */
static int keep_output(WebSocketConnection *c, const void *data, size_t size, PyObject *owner)
{
    if (owner ? output_share(&c->output, owner, (size_t)PyBytes_GET_SIZE(owner) - size)
              : output_copy(&c->output, data, size))
        return 0;
    cut(c);
    return -1;
}

/* Sends what waits, as far as the client takes it. If the connection is lost, reading will tell. */
static void send_output(WebSocketConnection *c)
{
    if (!output_send(&c->output, c->fd)) output_drop(&c->output);
}

/* Writes, or keeps what the client does not take now; `owner` is NULL or the bytes object whose
 * data it is. */
static int put_out(WebSocketConnection *c, const void *data, size_t size, PyObject *owner)
{
    if (c->fd < 0 || c->finishing) return 0;
    if (c->held) {
        if (keep_output(c, data, size, owner) < 0) return -1;
        c->held = false;
        send_output(c);
    } else if (c->output.length) {
        if (keep_output(c, data, size, owner) < 0) return -1;
    } else {
        ssize_t sent;
        do sent = send(c->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (sent < 0 && errno == EINTR);
        if (sent == (ssize_t)size) return 0;
        if (sent < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) return 0;
            sent = 0;
        }
        if (keep_output(c, (const char *)data + sent, size - (size_t)sent, owner) < 0) return -1;
    }
    watch(c);
    if (c->output.length > HIGH_WATER && !c->congested) {
        c->congested = true;
        c->writable = 0;
    }
    return 0;
}

/* Writes the answers that wait. */
static int release_answers(WebSocketConnection *c)
{
    size_t start = c->answers_start, length = c->answers_length;
    leave_answers(c);
    return put_out(c, c->reactor->answers.data + start, length, NULL);
}

/* Writes bytes behind everything that has been sent before; of `owner`, as put_out says. */
static int transmit(WebSocketConnection *c, const void *data, size_t size, PyObject *owner)
{
    if (c->answers_length && release_answers(c) < 0) return -1;
    return put_out(c, data, size, owner);
}

bool takes_answers(const WebSocketConnection *c)
{
    return c->writable && c->fd >= 0 && !c->finishing;
}

int add_answer(WebSocketConnection *c, const char *head, size_t head_size, const char *tail, size_t tail_size)
{
    Bytes *answers = &c->reactor->answers;
    size_t size = head_size + tail_size, frame_size = 2;
    unsigned char frame[10] = {0x80 | TEXT, (unsigned char)size};
    if (size > 65535) {
        frame[1] = 127;
        for (int i = 0; i < 8; i++) frame[2 + i] = (unsigned char)((uint64_t)size >> (56 - 8 * i));
        frame_size = 10;
    } else if (size > 125) {
        frame[1] = 126;
        frame[2] = (unsigned char)(size >> 8);
        frame[3] = (unsigned char)size;
        frame_size = 4;
    }
    if (c->answers_length && c->answers_start + c->answers_length != answers->length
        && release_answers(c) < 0) /* others have come between */
        return -1;
    size_t start = answers->length;
    if (!bytes_add(answers, frame, frame_size) || !bytes_add(answers, head, head_size)
        || !bytes_add(answers, tail, tail_size)) {
        answers->length = start;
        return -1;
    }
    if (!c->answers_length) {
        c->answers_start = start;
        c->reactor->answering++;
    }
    c->answers_length += frame_size + size;
    return c->answers_length > HIGH_WATER ? release_answers(c) : 0;
}

/* ------------------------------------------------------------------------------- frames */

/* An error goes to on_error; what is no Exception ends the poll. */
static int failed(WebSocketConnection *c)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) return -1;
    PyObject *error = take_error();
    PyObject *told = PyObject_CallMethodOneArg((PyObject *)c, name_on_error, error);
    Py_DECREF(error);
    Py_XDECREF(told);
    if (told) return 0;
    if (PyErr_ExceptionMatches(PyExc_Exception)) cut(c);
    return -1;
}

/* What a callback raised is its channel's error. */
static int after_callback(WebSocketConnection *c, PyObject *result)
{
    if (!result) return failed(c);
    Py_DECREF(result);
    return 0;
}

/* The client has broken the protocol with a message of so many bytes, of which some have come. */
static int violated(WebSocketConnection *c, int code, uint64_t size)
{
    size += c->message.length;
    c->deaf = 1;
    bytes_drop(&c->message);
    c->kind = 0;
    PyObject *number = PyLong_FromLong(code);
    PyObject *bytes = number ? PyLong_FromUnsignedLongLong(size) : NULL;
    PyObject *result = NULL;
    if (bytes) {
        result = PyObject_CallMethodObjArgs((PyObject *)c, name_on_violation, number, bytes, NULL);
    }
    Py_XDECREF(number);
    Py_XDECREF(bytes);
    return after_callback(c, result);
}

static int call_with_bytes(WebSocketConnection *c, PyObject *name, const unsigned char *data, size_t size)
{
    PyObject *payload = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
    if (!payload) return failed(c);
    PyObject *result = PyObject_CallMethodOneArg((PyObject *)c, name, payload);
    Py_DECREF(payload);
    return after_callback(c, result);
}

/* A text or a bytes object; NULL without an exception if it is no UTF-8. */
static PyObject *message_of(int kind, const unsigned char *data, size_t size)
{
    if (kind != TEXT) return PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
    PyObject *text = PyUnicode_DecodeUTF8((const char *)data, (Py_ssize_t)size, NULL);
    if (!text && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) PyErr_Clear();
    return text;
}

/* A whole message for a session; `corked` tells whether it has got one in this read before. */
static int deliver_to(WebSocketConnection *c, PyObject *session, int kind, const unsigned char *data, size_t size,
                      bool *corked)
{
    SessionCore *flow = PyObject_TypeCheck(session, &FlowType) ? (SessionCore *)session : NULL;
    if (!*corked) {
        if (flow) flow->corked = 1;
        else if (PyObject_SetAttr(session, name_corked, Py_True) < 0) return failed(c);
        *corked = true;
    }
    if (flow && kind == TEXT && flow->state == open_state) {
        int taken = lane_take(flow, c, (const char *)data, size);
        if (taken > 0) return 0;
        if (taken < 0) return failed(c);
    }
    PyObject *message = message_of(kind, data, size);
    if (!message) return PyErr_Occurred() ? failed(c) : violated(c, INVALID_TEXT, 0);
    PyObject *result = flow ? flow_receive(flow, message)
                            : PyObject_CallMethodOneArg(session, name_receive, message);
    Py_DECREF(message);
    return after_callback(c, result);
}

/* A whole message. */
static int deliver(WebSocketConnection *c, int kind, const unsigned char *data, size_t size, bool *corked)
{
    PyObject *session = c->session;
    if (session && session != Py_None) {
        Py_INCREF(session);
        int result = deliver_to(c, session, kind, data, size, corked);
        Py_DECREF(session);
        return result;
    }
    PyObject *message = message_of(kind, data, size);
    if (!message) return PyErr_Occurred() ? failed(c) : violated(c, INVALID_TEXT, 0);
    PyObject *result = PyObject_CallMethodOneArg((PyObject *)c, name_on_message, message);
    Py_DECREF(message);
    return after_callback(c, result);
}

static void unmask(unsigned char *data, size_t size, const unsigned char *mask)
{
    uint32_t four;
    memcpy(&four, mask, 4);
    if (!four) return;
    uint64_t eight = ((uint64_t)four << 32) | four;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        word ^= eight;
        memcpy(data + i, &word, 8);
    }
    for (; i < size; i++) data[i] ^= mask[i & 3];
}

/* The close code that the head of a frame deserves, or 0. */
static int mistake(const WebSocketConnection *c, int first, int second, uint64_t size, unsigned extended)
{
    int kind = first & 15;
    bool fin = first & 0x80;
    if ((first & 0x70) || !(second & 0x80) || (kind > 2 && kind < 8) || kind > PONG)
        return PROTOCOL_ERROR;
    if (kind >= CLOSE) return !fin || extended ? PROTOCOL_ERROR : 0;
    if ((extended == 2 && size < 126) || (extended == 8 && (size < 65536 || size >> 63)))
        return PROTOCOL_ERROR;
    if ((kind == CONTINUATION) != (c->kind != 0)) return PROTOCOL_ERROR;
    if (size + c->message.length > c->max_size) return TOO_BIG;
    if (kind == CONTINUATION && c->fragments >= MAX_FRAGMENTS) return POLICY_VIOLATION;
    return 0;
}

static int take_frame(WebSocketConnection *c, int first, unsigned char *payload, size_t size, bool *corked)
{
    int kind = first & 15;
    bool fin = first & 0x80;
    if (fin && (kind == TEXT || kind == BINARY)) return deliver(c, kind, payload, size, corked);
    if (kind == PING) return call_with_bytes(c, name_on_ping, payload, size);
    if (kind == PONG) return 0;
    if (kind == CLOSE) {
        c->deaf = 1;
        return call_with_bytes(c, name_on_close, payload, size);
    }
    if (kind != CONTINUATION) {
        c->kind = (uint8_t)kind;
        c->fragments = 0;
    }
    c->fragments++;
    if (!bytes_add(&c->message, payload, size)) return failed(c);
    if (!fin) return 0;
    Bytes message = c->message;
    kind = c->kind;
    memset(&c->message, 0, sizeof c->message);
    c->kind = 0;
    int result = deliver(c, kind, message.data + message.start, message.length, corked);
    bytes_drop(&message);
    return result;
}

/* Takes the frames that are complete, `*budget` of them at most; how many bytes they had, or -1. */
static Py_ssize_t take_frames(WebSocketConnection *c, unsigned char *data, size_t size, int *budget,
                              bool *corked)
{
    size_t done = 0;
    while (c->fd >= 0 && !c->finishing && done < size && *budget > 0) {
        unsigned char *p = data + done;
        size_t left = size - done;
        if (c->skip) {
            size_t skipped = c->skip < left ? (size_t)c->skip : left;
            if (c->skip != UINT64_MAX) c->skip -= skipped;
            done += skipped;
            continue;
        }
        if (left < 2) break;
        unsigned extended = (p[1] & 127) == 126 ? 2 : (p[1] & 127) == 127 ? 8 : 0;
        size_t head = 2 + extended + (p[1] & 0x80 ? 4 : 0);
        if (left < 2 + extended) break;
        uint64_t length = p[1] & 127;
        if (extended) {
            length = 0;
            for (unsigned i = 0; i < extended; i++) length = length << 8 | p[2 + i];
        }
        if (!c->deaf) {
            int code = mistake(c, p[0], p[1], length, extended);
            if (code && violated(c, code, length) < 0) return -1;
            if (code == TOO_BIG || length >> 63) {
                /* Where this frame ends, if it does, nobody waits for: say that we have ended. */
                c->skip = UINT64_MAX;
                if (c->fd >= 0 && !c->output.length) shutdown(c->fd, SHUT_WR);
            }
            if (code) continue; /* the socket may be closed now */
        }
        if (c->deaf && ((p[0] & 15) != CLOSE || extended)) {
            if (length >> 62) length = UINT64_MAX >> 2; /* nobody sends that much */
            c->skip = head + length;
            continue;
        }
        if (left < head || left - head < length) break;
        if (p[1] & 0x80) unmask(p + head, (size_t)length, p + head - 4);
        done += head + (size_t)length;
        --*budget;
        if (take_frame(c, p[0], p + head, (size_t)length, corked) < 0) {
            /* What follows is for the next read. */
            PyObject *error = take_error();
            if (c->fd >= 0 && done < size && !bytes_add(&c->partial, data + done, size - done)) {
                PyErr_Clear();
                cut(c);
            }
            set_error(error);
            return -1;
        }
    }
    return (Py_ssize_t)done;
}

/* Writes what has waited for the end of a read. No answers of the channel wait afterwards, whatever
 * has failed: the place where they were is given to others. */
static int flush(WebSocketConnection *c)
{
    PyObject *session = c->session;
    int result = 0;
    if (session && session != Py_None) {
        Py_INCREF(session);
        PyObject *flushed = PyObject_TypeCheck(session, &FlowType)
                                ? flow_flush((SessionCore *)session, NULL)
                                : PyObject_CallMethodNoArgs(session, name_flush);
        Py_DECREF(session);
        result = after_callback(c, flushed);
    }
    if (!c->answers_length) return result;
    PyObject *error = take_error();
    if (release_answers(c) == 0) {
        set_error(error);
        return result;
    }
    Py_XDECREF(error);
    return -1;
}

/* Bytes have come, or it is the turn of those that have come before. */
static int take(WebSocketConnection *c, unsigned char *data, size_t size)
{
    bool corked = false;
    int result = 0, budget = FRAMES;
    if (c->partial.length) {
        if (!bytes_add(&c->partial, data, size)) return failed(c);
        Bytes partial = c->partial; /* callbacks may close the channel */
        memset(&c->partial, 0, sizeof c->partial);
        Py_ssize_t done =
            take_frames(c, partial.data + partial.start, partial.length, &budget, &corked);
        if (done < 0) {
            result = -1;
        } else if (c->fd >= 0 && (size_t)done < partial.length) {
            partial.start += (size_t)done;
            partial.length -= (size_t)done;
            c->partial = partial;
            partial.data = NULL;
        }
        PyMem_Free(partial.data);
    } else {
        Py_ssize_t done = take_frames(c, data, size, &budget, &corked);
        if (done < 0) result = -1;
        else if (c->fd >= 0 && (size_t)done < size
                 && !bytes_add(&c->partial, data + done, size - (size_t)done))
            result = failed(c);
    }
    set_behind(c, budget <= 0 && c->partial.length && c->fd >= 0 && !c->finishing);
    Reactor *r = c->reactor;
    if (corked && r->served && r->served_count < EVENTS) {
        Py_INCREF(c);
        r->served[r->served_count++] = c;
    } else if (corked) {
        PyObject *error = take_error();
        if (flush(c) < 0) {
            Py_XDECREF(error);
            return -1;
        }
        set_error(error);
    }
    return result;
}

static int lost(WebSocketConnection *c)
{
    finish(c);
    return after_callback(c, PyObject_CallMethodNoArgs((PyObject *)c, name_on_lost));
}

/* Reads from a socket; NOT_READ if it has nothing, 0 if it has ended. */
static ssize_t read_some(WebSocketConnection *c, unsigned char *data, size_t room)
{
    ssize_t size = recv(c->fd, data, room, MSG_DONTWAIT);
    if (size >= 0) return size;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? NOT_READ : 0;
}

static int serve_here(WebSocketConnection *c, uint32_t events, unsigned char *data, ssize_t size)
{
    if (size == LEFT_OVER) return take(c, NULL, 0);
    if (events & EPOLLOUT) {
        send_output(c);
        if (!c->output.length && c->finishing) return lost(c);
        watch(c);
        if (c->congested && c->output.length <= LOW_WATER) {
            c->congested = false;
            if (after_callback(c, PyObject_CallMethodNoArgs((PyObject *)c, name_on_relieved)) < 0)
                return -1;
            if (c->fd < 0) return 0;
        }
    }
    if (size == NOT_READ) {
        if (c->paused || c->finishing) return events & (EPOLLERR | EPOLLHUP) ? lost(c) : 0;
        if (c->behind) return 0; /* until it is not, whatever has happened since */
        if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP))) return 0;
        data = c->reactor->input; /* what was read before has been handled */
        size = read_some(c, data, READ_SIZE);
        if (size == NOT_READ) return 0;
    }
    return size ? take(c, data, (size_t)size) : lost(c);
}

/* Serves a socket that is ready; `size` bytes have been read, or it is NOT_READ; LEFT_OVER if it
 * is behind, and has its turn. What is set in
 * context variables meanwhile is not there for other clients. */
static int serve(WebSocketConnection *c, uint32_t events, unsigned char *data, ssize_t size)
{
    if (c->fd < 0) return 0;
    PyObject *context = PyContext_CopyCurrent();
    if (!context || PyContext_Enter(context) < 0) {
        Py_XDECREF(context);
        return failed(c);
    }
    int result = serve_here(c, events, data, size);
    PyObject *error = take_error();
    if (PyContext_Exit(context) < 0) PyErr_Clear();
    Py_DECREF(context);
    set_error(error);
    return result;
}

/* ------------------------------------------------------------------------------- Reactor */

static PyObject *reactor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Reactor *r = (Reactor *)type->tp_alloc(type, 0);
    if (!r) return NULL;
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    r->wake_fd = r->epoll_fd < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r->input = PyMem_Malloc(READ_SIZE);
    struct epoll_event wake = {.events = EPOLLIN, .data.ptr = NULL};
    if (r->wake_fd < 0 || epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->wake_fd, &wake) < 0)
        PyErr_SetFromErrno(PyExc_OSError);
    else if (!r->input) PyErr_NoMemory();
    else return (PyObject *)r;
    Py_DECREF(r);
    return NULL;
}

static void reactor_dealloc(Reactor *r)
{
    if (r->epoll_fd >= 0) close(r->epoll_fd);
    if (r->wake_fd >= 0) close(r->wake_fd);
    PyMem_Free(r->input);
    bytes_drop(&r->answers);
    Py_TYPE(r)->tp_free((PyObject *)r);
}

static PyObject *reactor_fileno(Reactor *r, PyObject *unused)
{
    return PyLong_FromLong(r->epoll_fd);
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The first error of several; whether there is one. */
static bool keep_error(PyObject **kept)
{
    PyObject *error = take_error();
    if (error && *kept) Py_DECREF(error);
    else if (error) *kept = error;
    return *kept;
}

/* Writes what the channels that have been served have to say. */
static void flush_served(Reactor *r, PyObject **error)
{
    for (int i = 0; i < r->served_count; i++) {
        WebSocketConnection *c = r->served[i];
        if (flush(c) < 0) keep_error(error);
        Py_DECREF(c);
    }
    r->served_count = 0;
    if (r->answers.capacity > KEPT && !r->answering) bytes_drop(&r->answers);
}

/* Those that were behind when this turn began have theirs. */
static void serve_behind(Reactor *r, PyObject **error)
{
    int64_t begun = now();
    while (r->behind_first && r->behind_first->turn != r->turn) {
        WebSocketConnection *c = r->behind_first;
        unlist(c);
        if (serve(c, 0, NULL, LEFT_OVER) < 0) keep_error(error);
        if (now() - begun > PATIENCE) break; /* many floods take no longer than one */
    }
    uint64_t count;
    if (r->awake && !r->behind_first)
        r->awake = read(r->wake_fd, &count, sizeof count) != sizeof count;
}

static PyObject *reactor_poll(Reactor *r, PyObject *unused)
{
    if (r->polling) Py_RETURN_NONE;
    struct epoll_event events[EVENTS];
    ssize_t sizes[EVENTS];
    WebSocketConnection *served[EVENTS];
    PyObject *error = NULL;
    int count = epoll_wait(r->epoll_fd, events, EVENTS, 0);
    int64_t begun = now();
    r->polling = true;
    r->served = served;
    r->turn++;
    size_t used = 0;
    for (int i = 0, next = 0; i < count; i++) {
        WebSocketConnection *c = events[i].data.ptr;
        sizes[i] = NOT_READ;
        if (c && events[i].events == EPOLLIN && c->fd >= 0 && !c->paused && !c->finishing
            && !c->behind)
            sizes[i] = read_some(c, r->input + used, READ_SIZE - used);
        if (sizes[i] > 0) used += (size_t)sizes[i];
        if (i + 1 < count && READ_SIZE - used >= READ_LEAST && sizes[i] != NOT_READ) continue;
        unsigned char *data = r->input;
        for (; next <= i; next++) {
            if (!events[next].data.ptr) continue; /* `wake_fd`: see serve_behind */
            if (serve(events[next].data.ptr, events[next].events, data, sizes[next]) < 0)
                keep_error(&error);
            if (sizes[next] > 0) data += sizes[next];
            if (r->served_count && now() - begun > PATIENCE) {
                flush_served(r, &error);
                begun = now();
            }
        }
        used = 0;
    }
    serve_behind(r, &error);
    flush_served(r, &error);
    r->served = NULL;
    r->polling = false;
    while (r->dead) {
        WebSocketConnection *c = r->dead;
        r->dead = c->next_dead;
        c->next_dead = NULL;
        Py_DECREF(c);
    }
    if (error) {
        set_error(error);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef reactor_methods[] = {
    {"fileno", (PyCFunction)reactor_fileno, METH_NOARGS, "What the loop is to watch."},
    {"poll", (PyCFunction)reactor_poll, METH_NOARGS, "Serve the channels that are ready."},
    {0},
};

static PyMemberDef reactor_members[] = {
    {"count", T_PYSSIZET, offsetof(Reactor, count), READONLY, "How many channels are watched."},
    {0},
};

PyTypeObject ReactorType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "telex.native._telex.Reactor",
    .tp_doc = "Watches the sockets of the channels of one event loop.",
    .tp_basicsize = sizeof(Reactor),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = reactor_new,
    .tp_dealloc = (destructor)reactor_dealloc,
    .tp_methods = reactor_methods,
    .tp_members = reactor_members,
};

/* ------------------------------------------------------------------------------- WebSocketConnection */

static PyObject *channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    WebSocketConnection *c = (WebSocketConnection *)type->tp_alloc(type, 0);
    if (c) {
        c->fd = -1;
        c->writable = 1;
    }
    return (PyObject *)c;
}

static PyObject *channel_open(WebSocketConnection *c, PyObject *args)
{
    Reactor *reactor;
    PyObject *frames;
    const char *head;
    Py_ssize_t head_size;
    unsigned long long max_size;
    int fd;
    if (!PyArg_ParseTuple(args, "O!iy#OK:open", &ReactorType, &reactor, &fd, &head, &head_size,
                          &frames, &max_size))
        return NULL;
    if (c->fd >= 0 || c->reactor) {
        PyErr_SetString(PyExc_RuntimeError, "a channel is opened once");
        return NULL;
    }
    if (!output_copy(&c->output, head, (size_t)head_size)) return NULL;
    c->reactor = (Reactor *)Py_NewRef((PyObject *)reactor);
    c->frames = Py_NewRef(frames);
    c->max_size = max_size;
    c->held = true;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(reactor->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    c->fd = fd;
    c->interest = EPOLLIN;
    c->watched = true;
    reactor->count++;
    Py_INCREF(c);
    Py_RETURN_NONE;
}

static PyObject *channel_feed(WebSocketConnection *c, PyObject *data)
{
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(data, &bytes, &size) < 0) return NULL;
    unsigned char *copy = PyMem_Malloc(size ? (size_t)size : 1); /* frames are unmasked in place */
    if (!copy) return PyErr_NoMemory();
    memcpy(copy, bytes, (size_t)size);
    int result = take(c, copy, (size_t)size);
    PyMem_Free(copy);
    if (result < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *channel_write(WebSocketConnection *c, PyObject *data)
{
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(data, &bytes, &size) < 0) return NULL;
    if (transmit(c, bytes, (size_t)size, NULL) < 0) return NULL;
    Py_RETURN_NONE;
}

/* The frames of a packet, which are built once; a new reference to a bytes object. */
static PyObject *frames_of(WebSocketConnection *c, PyObject *packet)
{
    PyObject *frames, *make = c->frames;
    if (!make || make == Py_None) {
        frames = PyObject_GetAttr(packet, name_ready);
        if (!frames || PyBytes_CheckExact(frames)) return frames;
        Py_DECREF(frames);
        frames = PyObject_CallMethodNoArgs(packet, name_frames);
    } else {
        Py_INCREF(make);
        frames = PyObject_CallOneArg(make, packet);
        Py_DECREF(make);
    }
    if (frames && !PyBytes_Check(frames)) {
        PyErr_SetString(PyExc_TypeError, "frames are bytes");
        Py_CLEAR(frames);
    }
    return frames;
}

/* Packets on their way to a channel: small ones are collected. */
typedef struct {
    WebSocketConnection *channel;
    size_t waiting;
    unsigned char small[SMALL];
} Batch;

static int batch_end(Batch *b)
{
    size_t size = b->waiting;
    b->waiting = 0;
    return size ? transmit(b->channel, b->small, size, NULL) : 0;
}

/* Adds a packet; the `last` one need not be copied, nor one that has to wait for the client. */
static int batch_add(Batch *b, PyObject *packet, bool last)
{
    PyObject *frames = frames_of(b->channel, packet);
    if (!frames) return -1;
    const char *data = PyBytes_AS_STRING(frames);
    size_t size = (size_t)PyBytes_GET_SIZE(frames);
    bool whole = size > SMALL || (b->channel->output.length && !b->channel->held);
    int result = 0;
    if (whole || b->waiting + size > SMALL) result = batch_end(b);
    if (result == 0 && (whole || (last && !b->waiting))) {
        result = transmit(b->channel, data, size, frames);
    } else if (result == 0) {
        memcpy(b->small + b->waiting, data, size);
        b->waiting += size;
    }
    Py_DECREF(frames);
    return result;
}

int channel_send_packets(WebSocketConnection *c, PyObject *first, PyObject *rest)
{
    Batch batch;
    batch.channel = c;
    batch.waiting = 0;
    if (c->answers_length && c->answers_length <= SMALL) {
        Bytes *answers = &c->reactor->answers;
        memcpy(batch.small, answers->data + c->answers_start, c->answers_length);
        batch.waiting = c->answers_length;
        leave_answers(c);
    }
    int result = first ? batch_add(&batch, first, !rest || !PyList_GET_SIZE(rest)) : 0;
    /* The list and what is in it may change: a packet makes its frames in Python. */
    for (Py_ssize_t i = 0; result == 0 && rest && i < PyList_GET_SIZE(rest); i++) {
        PyObject *packet = Py_NewRef(PyList_GET_ITEM(rest, i));
        result = batch_add(&batch, packet, i + 1 == PyList_GET_SIZE(rest));
        Py_DECREF(packet);
    }
    return result < 0 ? -1 : batch_end(&batch);
}

static PyObject *channel_send(WebSocketConnection *c, PyObject *packets)
{
    if (!PyList_Check(packets)) {
        PyErr_SetString(PyExc_TypeError, "send takes a list of packets");
        return NULL;
    }
    if (channel_send_packets(c, NULL, packets) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *channel_pause(WebSocketConnection *c, PyObject *unused)
{
    c->paused = true;
    if (c->behind) set_behind(c, true);
    watch(c);
    Py_RETURN_NONE;
}

static PyObject *channel_resume(WebSocketConnection *c, PyObject *unused)
{
    c->paused = false;
    if (c->behind) set_behind(c, true);
    watch(c);
    Py_RETURN_NONE;
}

static PyObject *channel_finish(WebSocketConnection *c, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"drop", NULL};
    int drop = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$p:finish", keywords, &drop)) return NULL;
    if (c->fd < 0) Py_RETURN_FALSE;
    if (c->answers_length && !drop && release_answers(c) < 0) return NULL;
    if (c->held) {
        c->held = false;
        send_output(c);
    }
    if (c->output.length && !drop) {
        c->finishing = true;
        set_behind(c, false);
        watch(c);
        Py_RETURN_FALSE;
    }
    finish(c);
    Py_RETURN_TRUE;
}

static PyObject *channel_unsent(WebSocketConnection *c, void *unused)
{
    return PyLong_FromSize_t(c->output.length);
}

static PyMethodDef channel_methods[] = {
    {"open", (PyCFunction)channel_open, METH_VARARGS,
     "open(reactor, fd, head, frames, max_size): take a socket; `head` leaves with the first "
     "write."},
    {"feed", (PyCFunction)channel_feed, METH_O, "Take bytes that were read by somebody else."},
    {"write", (PyCFunction)channel_write, METH_O, "Write bytes."},
    {"send", (PyCFunction)channel_send, METH_O, "Write a batch of packets at once."},
    {"pause", (PyCFunction)channel_pause, METH_NOARGS, "Read no further until `resume`."},
    {"resume", (PyCFunction)channel_resume, METH_NOARGS, "Read the client again."},
    {"finish", (PyCFunction)channel_finish, METH_VARARGS | METH_KEYWORDS,
     "Close the socket when everything has been written, or at once (drop=True). Whether it is "
     "closed now; if not, on_lost will tell."},
    {0},
};

static PyMemberDef channel_members[] = {
    {"session", T_OBJECT, offsetof(WebSocketConnection, session), 0, "Gets messages without a detour."},
    {"writable", T_BOOL, offsetof(WebSocketConnection, writable), 0, "Whether it takes packets."},
    {"deaf", T_BOOL, offsetof(WebSocketConnection, deaf), 0, "Whether only a close frame counts."},
    {0},
};

static PyGetSetDef channel_getset[] = {
    {"unsent", (getter)channel_unsent, NULL, "How many bytes wait for the client.", NULL},
    {0},
};

static int channel_traverse(WebSocketConnection *c, visitproc visit, void *arg)
{
    Py_VISIT(c->session);
    Py_VISIT(c->frames);
    return 0;
}

static int channel_clear(WebSocketConnection *c)
{
    Py_CLEAR(c->session);
    Py_CLEAR(c->frames);
    return 0;
}

static void channel_dealloc(WebSocketConnection *c)
{
    PyObject_GC_UnTrack(c);
    finish(c);
    channel_clear(c);
    Py_CLEAR(c->reactor);
    output_drop(&c->output);
    Py_TYPE(c)->tp_free((PyObject *)c);
}

PyTypeObject ChannelType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "telex.native._telex.WebSocketConnection",
    .tp_doc = "The frames of one WebSocket; see the beginning of channel.c.",
    .tp_basicsize = sizeof(WebSocketConnection),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = channel_new,
    .tp_dealloc = (destructor)channel_dealloc,
    .tp_traverse = (traverseproc)channel_traverse,
    .tp_clear = (inquiry)channel_clear,
    .tp_methods = channel_methods,
    .tp_members = channel_members,
    .tp_getset = channel_getset,
};

bool channel_ready(void)
{
    static const struct {
        PyObject **where;
        const char *name;
    } names[] = {
        {&name_corked, "corked"},         {&name_receive, "receive"},
        {&name_flush, "flush"},           {&name_frames, "frames"},
        {&name_ready, "_frames"},         {&name_on_message, "on_message"},
        {&name_on_ping, "on_ping"},       {&name_on_close, "on_close"},
        {&name_on_violation, "on_violation"}, {&name_on_relieved, "on_relieved"},
        {&name_on_lost, "on_lost"},       {&name_on_error, "on_error"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!(*names[i].where = PyUnicode_InternFromString(names[i].name))) return false;
    return PyType_Ready(&ReactorType) == 0 && PyType_Ready(&ChannelType) == 0;
}
