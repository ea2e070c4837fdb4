/*
 * Frames that come from a client: checked, unmasked and put together to messages. Twins:
 * websocket/ and fronts/websocket/picows.py.
 */
#include "native.h"

#include <sys/socket.h>

enum { PROTOCOL_ERROR = 1002, INVALID_TEXT = 1007, POLICY_VIOLATION = 1008, TOO_BIG = 1009 };

static PyObject *name_corked, *name_receive, *name_on_message, *name_on_ping, *name_on_close,
    *name_on_violation, *name_on_error;

int report_error(WebSocketConnection *c)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) return -1;
    PyObject *error = take_error();
    PyObject *told = PyObject_CallMethodOneArg((PyObject *)c, name_on_error, error);
    Py_DECREF(error);
    Py_XDECREF(told);
    if (told) return 0;
    if (PyErr_ExceptionMatches(PyExc_Exception)) abort_connection(c);
    return -1;
}

int finish_callback(WebSocketConnection *c, PyObject *result)
{
    if (!result) return report_error(c);
    Py_DECREF(result);
    return 0;
}

/* The client has broken the protocol with a message of so many bytes, of which some have come. */
static int report_violation(WebSocketConnection *c, int code, uint64_t size)
{
    size += c->message.length;
    c->discard_input = 1;
    bytes_drop(&c->message);
    c->kind = 0;
    PyObject *number = PyLong_FromLong(code);
    PyObject *bytes = number ? PyLong_FromUnsignedLongLong(size) : NULL;
    PyObject *self = (PyObject *)c, *result = NULL;
    if (bytes) result = PyObject_CallMethodObjArgs(self, name_on_violation, number, bytes, NULL);
    Py_XDECREF(number);
    Py_XDECREF(bytes);
    return finish_callback(c, result);
}

static int call_with_payload(WebSocketConnection *c, PyObject *name, const unsigned char *data,
                             size_t size)
{
    PyObject *payload = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
    if (!payload) return report_error(c);
    PyObject *result = PyObject_CallMethodOneArg((PyObject *)c, name, payload);
    Py_DECREF(payload);
    return finish_callback(c, result);
}

/* A text or a bytes object: 1, 0 if a text is no UTF-8, -1. */
static int make_message(int kind, const unsigned char *data, size_t size, PyObject **message)
{
    *message = kind == TEXT ? PyUnicode_DecodeUTF8((const char *)data, (Py_ssize_t)size, NULL)
                            : PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
    if (*message) return 1;
    if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) return -1;
    PyErr_Clear();
    return 0;
}

/* A message that cannot be made has ended its connection. */
static int refuse_message(WebSocketConnection *c, int made)
{
    return made < 0 ? report_error(c) : report_violation(c, INVALID_TEXT, 0);
}

/* A whole message for a session; `corked` tells whether it has got one in this read before. */
static int deliver_to_session(WebSocketConnection *c, PyObject *session, int kind,
                              const unsigned char *data, size_t size, bool *corked)
{
    SessionCore *f = PyObject_TypeCheck(session, &SessionCoreType) ? (SessionCore *)session : NULL;
    if (!*corked) {
        if (f) f->corked = 1;
        else if (PyObject_SetAttr(session, name_corked, Py_True) < 0) return report_error(c);
        *corked = true;
    }
    if (f && kind == TEXT && f->state == session_config.open) {
        int taken = take_text_packet(f, c, (const char *)data, size);
        if (taken > 0) return 0;
        if (taken < 0) return report_error(c);
    }
    PyObject *message;
    int made = make_message(kind, data, size, &message);
    if (made <= 0) return refuse_message(c, made);
    PyObject *result =
        f ? session_receive(f, message) : PyObject_CallMethodOneArg(session, name_receive, message);
    Py_DECREF(message);
    return finish_callback(c, result);
}

/* A whole message. */
static int deliver_message(WebSocketConnection *c, int kind, const unsigned char *data, size_t size,
                           bool *corked)
{
    if (!is_none(c->session)) {
        PyObject *session = Py_NewRef(c->session);
        int result = deliver_to_session(c, session, kind, data, size, corked);
        Py_DECREF(session);
        return result;
    }
    PyObject *message;
    int made = make_message(kind, data, size, &message);
    if (made <= 0) return refuse_message(c, made);
    PyObject *result = PyObject_CallMethodOneArg((PyObject *)c, name_on_message, message);
    Py_DECREF(message);
    return finish_callback(c, result);
}

static void unmask_payload(unsigned char *data, size_t size, const unsigned char *mask)
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
static int find_violation(const WebSocketConnection *c, int first, int second, uint64_t size,
                          unsigned extended)
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
    if (kind == CONTINUATION && c->fragments >= websocket_config.max_fragments)
        return POLICY_VIOLATION;
    return 0;
}

static int take_frame(WebSocketConnection *c, int first, unsigned char *payload, size_t size,
                      bool *corked)
{
    int kind = first & 15;
    bool fin = first & 0x80;
    if (fin && (kind == TEXT || kind == BINARY))
        return deliver_message(c, kind, payload, size, corked);
    if (kind == PING) return call_with_payload(c, name_on_ping, payload, size);
    if (kind == PONG) return 0;
    if (kind == CLOSE) {
        c->discard_input = 1;
        return call_with_payload(c, name_on_close, payload, size);
    }
    if (kind != CONTINUATION) {
        c->kind = (uint8_t)kind;
        c->fragments = 0;
    }
    c->fragments++;
    if (bytes_add(&c->message, payload, size) < 0) return report_error(c);
    if (!fin) return 0;
    Bytes message = c->message;
    kind = c->kind;
    memset(&c->message, 0, sizeof c->message);
    c->kind = 0;
    int result = deliver_message(c, kind, message.data + message.start, message.length, corked);
    bytes_drop(&message);
    return result;
}

Py_ssize_t take_frames(WebSocketConnection *c, unsigned char *data, size_t size, int *budget,
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
        if (!c->discard_input) {
            int code = find_violation(c, p[0], p[1], length, extended);
            if (code && report_violation(c, code, length) < 0) return -1;
            if (code == TOO_BIG || length >> 63) {
                /* The end of this frame is not waited for: say that nothing more comes. */
                c->skip = UINT64_MAX;
                if (c->fd >= 0 && !c->output.length) shutdown(c->fd, SHUT_WR);
            }
            if (code) continue; /* the socket may be closed now */
        }
        if (c->discard_input && ((p[0] & 15) != CLOSE || extended)) {
            if (length >> 62) length = UINT64_MAX >> 2; /* more than is ever sent */
            c->skip = head + length;
            continue;
        }
        if (left < head || left - head < length) break;
        if (p[1] & 0x80) unmask_payload(p + head, (size_t)length, p + head - 4);
        done += head + (size_t)length;
        --*budget;
        if (take_frame(c, p[0], p + head, (size_t)length, corked) < 0) {
            /* What follows is for the next read. */
            PyObject *error = take_error();
            if (c->fd >= 0 && done < size && bytes_add(&c->partial, data + done, size - done) < 0) {
                PyErr_Clear();
                abort_connection(c);
            }
            set_error(error);
            return -1;
        }
    }
    return (Py_ssize_t)done;
}

int frames_ready(void)
{
    static const struct {
        PyObject **where;
        const char *name;
    } names[] = {
        {&name_corked, "corked"},
        {&name_receive, "receive"},
        {&name_on_message, "on_message"},
        {&name_on_ping, "on_ping"},
        {&name_on_close, "on_close"},
        {&name_on_violation, "on_violation"},
        {&name_on_error, "on_error"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!*names[i].where && !(*names[i].where = PyUnicode_InternFromString(names[i].name)))
            return -1;
    return 0;
}
