/*
 * Frames on their way to a client. Twin: fronts/websocket/picows.py.
 *
 * Answers of events wait in one place, a slice for each connection, ahead of what sessions queue.
 */
#include "native.h"

#include <errno.h>
#include <sys/socket.h>

#define SMALL 16384 /* packets that fit in this leave in one piece */

static PyObject *name_frames, *name_ready;

/* ------------------------------------------------------------------------------- bytes */

void abort_connection(WebSocketConnection *c)
{
    if (c->fd < 0) return;
    c->discard_input = 1; /* to what comes where the rest of a frame was to come */
    shutdown(c->fd, SHUT_RDWR);
}

/* Keeps what the client does not take now: the rest of `owner`, which is a bytes object, or,
 * without one, of other data. */
static int keep_output(WebSocketConnection *c, const void *data, size_t size, PyObject *owner)
{
    if ((owner ? output_share(&c->output, owner, (size_t)PyBytes_GET_SIZE(owner) - size)
               : output_copy(&c->output, data, size))
        == 0)
        return 0;
    abort_connection(c);
    return -1;
}

void send_output(WebSocketConnection *c)
{
    if (!output_send(&c->output, c->fd)) output_drop(&c->output);
}

/* Writes, or keeps what the client does not take now; `owner` is NULL or the bytes object whose
 * data it is. */
static int write_output(WebSocketConnection *c, const void *data, size_t size, PyObject *owner)
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
    update_interest(c);
    if (c->output.length > HIGH_WATER && !c->congested) {
        c->congested = true;
        c->writable = 0;
    }
    return 0;
}

int write_answers(WebSocketConnection *c)
{
    size_t start = c->answers_start, length = c->answers_length;
    detach_answers(c);
    return write_output(c, c->reactor->answers.data + start, length, NULL);
}

int write_bytes(WebSocketConnection *c, const void *data, size_t size, PyObject *owner)
{
    if (c->answers_length && write_answers(c) < 0) return -1;
    return write_output(c, data, size, owner);
}

/* ------------------------------------------------------------------------------- answers */

void detach_answers(WebSocketConnection *c)
{
    if (!c->answers_length) return;
    Bytes *answers = &c->reactor->answers;
    if (c->answers_start + c->answers_length == answers->length) answers->length = c->answers_start;
    c->answers_length = 0;
    if (--c->reactor->answering == 0) answers->length = 0;
}

bool can_add_answer(const WebSocketConnection *c)
{
    return c->writable && c->fd >= 0 && !c->finishing;
}

int add_answer(WebSocketConnection *c, const char *head, size_t head_size, const char *tail,
               size_t tail_size)
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
        && write_answers(c) < 0) /* others have come between */
        return -1;
    size_t start = answers->length;
    if (bytes_add(answers, frame, frame_size) < 0 || bytes_add(answers, head, head_size) < 0
        || bytes_add(answers, tail, tail_size) < 0) {
        answers->length = start;
        return -1;
    }
    if (!c->answers_length) {
        c->answers_start = start;
        c->reactor->answering++;
    }
    c->answers_length += frame_size + size;
    return c->answers_length > HIGH_WATER ? write_answers(c) : 0;
}

/* ------------------------------------------------------------------------------- packets */

/* The frames of a packet, which are built once: a bytes object. */
static PyObject *make_frames(WebSocketConnection *c, PyObject *packet)
{
    PyObject *frames, *make = c->frames;
    if (is_none(make)) {
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

/* Packets on their way to a connection: small ones are collected. */
typedef struct {
    WebSocketConnection *connection;
    size_t waiting;
    unsigned char small[SMALL];
} Batch;

static int end_batch(Batch *b)
{
    size_t size = b->waiting;
    b->waiting = 0;
    return size ? write_bytes(b->connection, b->small, size, NULL) : 0;
}

/* Adds a packet; the `last` one need not be copied, nor one that has to wait for the client. */
static int add_to_batch(Batch *b, PyObject *packet, bool last)
{
    PyObject *frames = make_frames(b->connection, packet);
    if (!frames) return -1;
    const char *data = PyBytes_AS_STRING(frames);
    size_t size = (size_t)PyBytes_GET_SIZE(frames);
    bool whole = size > SMALL || (b->connection->output.length && !b->connection->held);
    int result = 0;
    if (whole || b->waiting + size > SMALL) result = end_batch(b);
    if (result == 0 && (whole || (last && !b->waiting))) {
        result = write_bytes(b->connection, data, size, frames);
    } else if (result == 0) {
        memcpy(b->small + b->waiting, data, size);
        b->waiting += size;
    }
    Py_DECREF(frames);
    return result;
}

int send_packets(WebSocketConnection *c, PyObject *first, PyObject *rest)
{
    Batch batch;
    batch.connection = c;
    batch.waiting = 0;
    if (c->answers_length && c->answers_length <= SMALL) {
        Bytes *answers = &c->reactor->answers;
        memcpy(batch.small, answers->data + c->answers_start, c->answers_length);
        batch.waiting = c->answers_length;
        detach_answers(c);
    }
    int result = first ? add_to_batch(&batch, first, !rest || !PyList_GET_SIZE(rest)) : 0;
    /* The list and what is in it may change: a packet makes its frames in Python. */
    for (Py_ssize_t i = 0; result == 0 && rest && i < PyList_GET_SIZE(rest); i++) {
        PyObject *packet = Py_NewRef(PyList_GET_ITEM(rest, i));
        result = add_to_batch(&batch, packet, i + 1 == PyList_GET_SIZE(rest));
        Py_DECREF(packet);
    }
    return result < 0 ? -1 : end_batch(&batch);
}

int websocket_output_ready(void)
{
    if (!name_frames && !(name_frames = PyUnicode_InternFromString("frames"))) return -1;
    if (!name_ready && !(name_ready = PyUnicode_InternFromString("_frames"))) return -1;
    return 0;
}
