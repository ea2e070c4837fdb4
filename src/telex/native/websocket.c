/*
 * WebSocketConnection: a WebSocket on a socket of its own. Twin: fronts/websocket/picows.py.
 *
 * Frames are checked, unmasked and put together here; what they mean is decided by the Python class
 * that extends this one, in fronts/websocket/native.py, with these methods:
 *
 *     on_message(data)     a message, when there is no session that takes it directly
 *     on_ping(data)        the payload of a ping
 *     on_close(payload)    a close frame; nothing is delivered after it
 *     on_violation(code, size)  the client broke the protocol with a message of so many bytes; only
 *                          its close frame counts from now on
 *     on_writable()        not more than LOW_WATER bytes wait any more; more than HIGH_WATER did,
 *                          and `writable` has been false since
 *     on_lost()            the socket has been closed, unless `finish` has said so already
 *     on_error(error)      a callback has raised
 */
#include "native.h"

#include <sys/epoll.h>

static PyObject *websocket_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    WebSocketConnection *c = (WebSocketConnection *)type->tp_alloc(type, 0);
    if (c) {
        c->fd = -1;
        c->writable = 1;
    }
    return (PyObject *)c;
}

static PyObject *websocket_open(WebSocketConnection *c, PyObject *args)
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
        PyErr_SetString(PyExc_RuntimeError, "a connection is opened once");
        return NULL;
    }
    if (output_copy(&c->output, head, (size_t)head_size) < 0) return NULL;
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

static PyObject *websocket_feed(WebSocketConnection *c, PyObject *data)
{
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(data, &bytes, &size) < 0) return NULL;
    unsigned char *copy = PyMem_Malloc(size ? (size_t)size : 1); /* frames are unmasked in place */
    if (!copy) return PyErr_NoMemory();
    memcpy(copy, bytes, (size_t)size);
    int result = take_bytes(c, copy, (size_t)size);
    PyMem_Free(copy);
    if (result < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *websocket_write(WebSocketConnection *c, PyObject *data)
{
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(data, &bytes, &size) < 0) return NULL;
    if (write_bytes(c, bytes, (size_t)size, NULL) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *websocket_send(WebSocketConnection *c, PyObject *packets)
{
    if (!PyList_Check(packets)) {
        PyErr_SetString(PyExc_TypeError, "send takes a list of packets");
        return NULL;
    }
    if (send_packets(c, NULL, packets) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *websocket_pause(WebSocketConnection *c, PyObject *unused)
{
    c->paused = true;
    if (c->behind) set_behind(c, true);
    update_interest(c);
    Py_RETURN_NONE;
}

static PyObject *websocket_resume(WebSocketConnection *c, PyObject *unused)
{
    c->paused = false;
    if (c->behind) set_behind(c, true);
    update_interest(c);
    Py_RETURN_NONE;
}

static PyObject *websocket_finish(WebSocketConnection *c, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"drop", NULL};
    int drop = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$p:finish", keywords, &drop)) return NULL;
    if (c->fd < 0) Py_RETURN_FALSE;
    if (c->answers_length && !drop && write_answers(c) < 0) return NULL;
    if (c->held) {
        c->held = false;
        send_output(c);
    }
    if (c->output.length && !drop) {
        c->finishing = true;
        set_behind(c, false);
        update_interest(c);
        Py_RETURN_FALSE;
    }
    close_socket(c);
    Py_RETURN_TRUE;
}

static PyObject *websocket_unsent(WebSocketConnection *c, void *unused)
{
    return PyLong_FromSize_t(c->output.length);
}

static PyMethodDef websocket_methods[] = {
    {"open", (PyCFunction)websocket_open, METH_VARARGS,
     "open(reactor, fd, head, frames, max_size): take a socket; `head` leaves with the first "
     "write."},
    {"feed", (PyCFunction)websocket_feed, METH_O,
     "Take bytes that were read with the request of the handshake."},
    {"write", (PyCFunction)websocket_write, METH_O, "Write bytes."},
    {"send", (PyCFunction)websocket_send, METH_O, "Write a batch of packets at once."},
    {"pause", (PyCFunction)websocket_pause, METH_NOARGS, "Read no further until `resume`."},
    {"resume", (PyCFunction)websocket_resume, METH_NOARGS, "Read the client again."},
    {"finish", (PyCFunction)websocket_finish, METH_VARARGS | METH_KEYWORDS,
     "Close the socket when everything has been written, or at once (drop=True). Whether it is "
     "closed now; if not, on_lost will tell."},
    {0},
};

static PyMemberDef websocket_members[] = {
    {"session", T_OBJECT, offsetof(WebSocketConnection, session), 0,
     "Gets messages without a call."},
    {"writable", T_BOOL, offsetof(WebSocketConnection, writable), 0, "Whether it takes packets."},
    {"discard_input", T_BOOL, offsetof(WebSocketConnection, discard_input), 0,
     "Whether only a close frame counts."},
    {0},
};

static PyGetSetDef websocket_getset[] = {
    {"unsent", (getter)websocket_unsent, NULL, "How many bytes wait for the client.", NULL},
    {0},
};

static int websocket_traverse(WebSocketConnection *c, visitproc visit, void *arg)
{
    Py_VISIT(c->session);
    Py_VISIT(c->frames);
    return 0;
}

static int websocket_clear(WebSocketConnection *c)
{
    Py_CLEAR(c->session);
    Py_CLEAR(c->frames);
    return 0;
}

static void websocket_dealloc(WebSocketConnection *c)
{
    PyObject_GC_UnTrack(c);
    close_socket(c);
    websocket_clear(c);
    Py_CLEAR(c->reactor);
    output_drop(&c->output);
    Py_TYPE(c)->tp_free((PyObject *)c);
}

PyTypeObject WebSocketConnectionType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "telex.native._telex.WebSocketConnection",
    .tp_doc = "A WebSocket on a socket of its own.",
    .tp_basicsize = sizeof(WebSocketConnection),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = websocket_new,
    .tp_dealloc = (destructor)websocket_dealloc,
    .tp_traverse = (traverseproc)websocket_traverse,
    .tp_clear = (inquiry)websocket_clear,
    .tp_methods = websocket_methods,
    .tp_members = websocket_members,
    .tp_getset = websocket_getset,
};

int websocket_ready(void)
{
    return PyType_Ready(&WebSocketConnectionType);
}
