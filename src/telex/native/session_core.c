/*
 * SessionCore: packets in and out of a session. Twin: engine/session_core.py, where it says what
 * the methods mean.
 *
 * What happens seldom is a method of the Python class that extends SessionCore:
 *
 *     _receive_unusual(data)  the session is not open, is observed, or waits for a pong
 *     _control(text)          a packet that is no message
 *     _check_type(data)       a binary message of revision 3: whether its type byte is right
 *     _make_room()            more than the limit waits: whether one more packet may
 *     _flushed(packet)        the last of a batch has been sent, and something waits for that
 */
#include "native.h"

static PyObject *name_receive_unusual, *name_control, *name_check_type, *name_created,
    *name_make_room, *name_flushed, *name_send, *name_size, *name_writable, *one, *zero;

/* ------------------------------------------------------------------------------ from the client */

PyObject *session_receive(SessionCore *f, PyObject *data)
{
    if (f->state != session_config.open || !is_none(f->observer) || f->awaiting_pong)
        return PyObject_CallMethodOneArg((PyObject *)f, name_receive_unusual, data);
    PyObject *skip = one;
    if (PyUnicode_CheckExact(data)) {
        if (PyUnicode_GET_LENGTH(data) == 0 || PyUnicode_READ_CHAR(data, 0) != '4')
            return PyObject_CallMethodOneArg((PyObject *)f, name_control, data);
        if (!(is_none(f->fast_dispatch) && is_none(f->fast_dispatches))
            && PyUnicode_IS_COMPACT_ASCII(data)) {
            size_t size = (size_t)PyUnicode_GET_LENGTH(data);
            int taken = take_text_packet(f, NULL, PyUnicode_DATA(data), size);
            if (taken < 0) return NULL;
            if (taken) Py_RETURN_NONE;
        }
    } else if (f->binary_prefix) {
        PyObject *right = PyObject_CallMethodOneArg((PyObject *)f, name_check_type, data);
        if (right != Py_True) return right;
        Py_DECREF(right);
    } else {
        skip = zero;
    }
    if (!f->on_message) {
        PyErr_SetString(PyExc_AttributeError, "on_message");
        return NULL;
    }
    PyObject *on_message = Py_NewRef(f->on_message);
    PyObject *args[3] = {NULL, data, skip};
    PyObject *result =
        PyObject_Vectorcall(on_message, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(on_message);
    return result;
}

/* ------------------------------------------------------------------------------- to the client */

/* Puts a packet behind those that wait. */
static int put_packet(SessionCore *f, PyObject *packet)
{
    Py_ssize_t size = 0;
    PyObject *attribute = PyObject_GetAttr(packet, name_size);
    if (!attribute) return -1;
    size = PyLong_AsSsize_t(attribute);
    Py_DECREF(attribute);
    if (size == -1 && PyErr_Occurred()) return -1;
    if (f->first && !f->rest) {
        PyObject *rest = PyList_New(0); /* may collect garbage, which may send and flush */
        if (!rest) return -1;
        if (f->first && !f->rest) f->rest = rest;
        else Py_DECREF(rest);
    }
    if (!f->first) f->first = Py_NewRef(packet);
    else if (PyList_Append(f->rest, packet) < 0) return -1;
    f->queued += size;
    return 0;
}

/* Tells a cork, which may be replaced meanwhile, that something waits. */
static int tell_cork(PyObject *cork, SessionCore *f)
{
    Py_INCREF(cork);
    int done = Py_IS_TYPE(cork, &CorkType) ? add_to_cork(cork, (PyObject *)f)
                                           : drop_result(PyObject_CallOneArg(cork, (PyObject *)f));
    Py_DECREF(cork);
    return done;
}

PyObject *session_send(SessionCore *f, PyObject *packet)
{
    if (f->state != session_config.open) Py_RETURN_NONE;
    if (!is_none(f->observer)) {
        PyObject *observer = Py_NewRef(f->observer);
        PyObject *seen = PyObject_CallMethodOneArg(observer, name_created, packet);
        Py_DECREF(observer);
        if (drop_result(seen) < 0) return NULL;
    }
    if (f->queued > f->limit) {
        PyObject *room = PyObject_CallMethodNoArgs((PyObject *)f, name_make_room);
        if (room != Py_True) {
            if (!room) return NULL;
            Py_DECREF(room);
            Py_RETURN_NONE;
        }
        Py_DECREF(room);
    }
    if (put_packet(f, packet) < 0) return NULL;
    if (!f->corked) {
        f->corked = 1;
        if (f->cork && tell_cork(f->cork, f) < 0) {
            f->corked = 0; /* the next packet tells the cork again */
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

bool is_session_send(PyObject *deliver)
{
    return PyCFunction_CheckExact(deliver)
           && PyCFunction_GET_FUNCTION(deliver) == (PyCFunction)session_send;
}

/* Whether a transport takes packets: 1, 0 or -1. */
static int read_writable(PyObject *transport)
{
    if (PyObject_TypeCheck(transport, &WebSocketConnectionType))
        return ((WebSocketConnection *)transport)->writable;
    PyObject *writable = PyObject_GetAttr(transport, name_writable);
    if (!writable) return -1;
    int result = PyObject_IsTrue(writable);
    Py_DECREF(writable);
    return result;
}

/* Hands a batch to a transport. */
static int hand_over_packets(PyObject *transport, PyObject *first, PyObject *rest)
{
    if (PyObject_TypeCheck(transport, &WebSocketConnectionType))
        return send_packets((WebSocketConnection *)transport, first, rest);
    PyObject *packets = PyList_New(1);
    if (!packets) return -1;
    PyList_SET_ITEM(packets, 0, Py_NewRef(first));
    int result = rest ? PyList_SetSlice(packets, 1, 1, rest) : 0;
    if (result == 0) result = drop_result(PyObject_CallMethodOneArg(transport, name_send, packets));
    Py_DECREF(packets);
    return result;
}

PyObject *session_flush(SessionCore *f, PyObject *unused)
{
    f->corked = 0;
    if (!f->first || !f->transport) Py_RETURN_NONE;
    PyObject *transport = Py_NewRef(f->transport);
    int writable = read_writable(transport);
    if (writable <= 0 || !f->first) { /* the transport may have flushed, too */
        Py_DECREF(transport);
        if (writable < 0) return NULL;
        Py_RETURN_NONE;
    }
    PyObject *first = f->first, *rest = f->rest;
    f->first = f->rest = NULL;
    f->queued = 0;
    int result = hand_over_packets(transport, first, rest);
    Py_DECREF(transport);
    if (result == 0
        && (f->behind || !is_none(f->on_drain) || !is_none(f->drain_callbacks)
            || f->state != session_config.open)) {
        Py_ssize_t more = rest ? PyList_GET_SIZE(rest) : 0;
        PyObject *last = Py_NewRef(more ? PyList_GET_ITEM(rest, more - 1) : first);
        result = drop_result(PyObject_CallMethodOneArg((PyObject *)f, name_flushed, last));
        Py_DECREF(last);
    }
    Py_DECREF(first);
    Py_XDECREF(rest);
    if (result < 0) return NULL;
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------------------- the class */

static PyObject *session_put(SessionCore *f, PyObject *packet)
{
    if (put_packet(f, packet) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *session_drop(SessionCore *f, PyObject *unused)
{
    Py_CLEAR(f->first);
    Py_CLEAR(f->rest);
    Py_RETURN_NONE;
}

static PyObject *session_waiting(SessionCore *f, void *unused)
{
    PyObject *packets = PyList_New(0);
    if (!packets) return NULL;
    if ((f->first && PyList_Append(packets, f->first) < 0)
        || (f->rest && PyList_SetSlice(packets, 1, 1, f->rest) < 0))
        Py_CLEAR(packets);
    return packets;
}

static PyMethodDef session_methods[] = {
    {"receive", (PyCFunction)session_receive, METH_O, "Take one packet of the client."},
    {"send", (PyCFunction)session_send, METH_O, "Queue a packet for the client."},
    {"flush", (PyCFunction)session_flush, METH_NOARGS, "Hand what is queued to the transport."},
    {"_put", (PyCFunction)session_put, METH_O, "Queue a packet, whatever the state."},
    {"_drop", (PyCFunction)session_drop, METH_NOARGS, "Forget what is queued."},
    {0},
};

static PyMemberDef session_members[] = {
    {"state", T_OBJECT, offsetof(SessionCore, state), 0, NULL},
    {"transport", T_OBJECT, offsetof(SessionCore, transport), 0, NULL},
    {"observer", T_OBJECT, offsetof(SessionCore, observer), 0, NULL},
    {"on_message", T_OBJECT, offsetof(SessionCore, on_message), 0, NULL},
    {"on_drain", T_OBJECT, offsetof(SessionCore, on_drain), 0, NULL},
    {"fast_dispatch", T_OBJECT, offsetof(SessionCore, fast_dispatch), 0, NULL},
    {"fast_dispatches", T_OBJECT, offsetof(SessionCore, fast_dispatches), 0, NULL},
    {"queued", T_PYSSIZET, offsetof(SessionCore, queued), 0, NULL},
    {"corked", T_BOOL, offsetof(SessionCore, corked), 0, NULL},
    {"_cork", T_OBJECT, offsetof(SessionCore, cork), 0, NULL},
    {"_limit", T_PYSSIZET, offsetof(SessionCore, limit), 0, NULL},
    {"_drain_callbacks", T_OBJECT, offsetof(SessionCore, drain_callbacks), 0, NULL},
    {"_awaiting_pong", T_BOOL, offsetof(SessionCore, awaiting_pong), 0, NULL},
    {"_ping_extended", T_BOOL, offsetof(SessionCore, ping_extended), 0, NULL},
    {"_behind", T_BOOL, offsetof(SessionCore, behind), 0, NULL},
    {"_binary_prefix", T_BYTE, offsetof(SessionCore, binary_prefix), 0, NULL},
    {0},
};

static PyGetSetDef session_getset[] = {
    {"waiting", (getter)session_waiting, NULL, "The packets that wait, in their order.", NULL},
    {0},
};

static int session_traverse(SessionCore *f, visitproc visit, void *arg)
{
    Py_VISIT(f->state);
    Py_VISIT(f->transport);
    Py_VISIT(f->observer);
    Py_VISIT(f->on_message);
    Py_VISIT(f->on_drain);
    Py_VISIT(f->cork);
    Py_VISIT(f->fast_dispatch);
    Py_VISIT(f->fast_dispatches);
    Py_VISIT(f->drain_callbacks);
    Py_VISIT(f->first);
    Py_VISIT(f->rest);
    return 0;
}

static int session_clear(SessionCore *f)
{
    Py_CLEAR(f->state);
    Py_CLEAR(f->transport);
    Py_CLEAR(f->observer);
    Py_CLEAR(f->on_message);
    Py_CLEAR(f->on_drain);
    Py_CLEAR(f->cork);
    Py_CLEAR(f->fast_dispatch);
    Py_CLEAR(f->fast_dispatches);
    Py_CLEAR(f->drain_callbacks);
    Py_CLEAR(f->first);
    Py_CLEAR(f->rest);
    return 0;
}

static PyObject *session_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (!session_config.open) {
        PyErr_SetString(PyExc_RuntimeError, "configure('session', …) has not been called");
        return NULL;
    }
    SessionCore *f = (SessionCore *)type->tp_alloc(type, 0);
    if (f) f->state = Py_NewRef(session_config.open);
    return (PyObject *)f;
}

static void session_dealloc(SessionCore *f)
{
    PyObject_GC_UnTrack(f);
    session_clear(f);
    Py_TYPE(f)->tp_free((PyObject *)f);
}

PyTypeObject SessionCoreType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "telex.native._telex.SessionCore",
    .tp_doc = "Packets in and out of a session.",
    .tp_basicsize = sizeof(SessionCore),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = session_new,
    .tp_dealloc = (destructor)session_dealloc,
    .tp_traverse = (traverseproc)session_traverse,
    .tp_clear = (inquiry)session_clear,
    .tp_methods = session_methods,
    .tp_members = session_members,
    .tp_getset = session_getset,
};

static const struct {
    PyObject **where;
    const char *name;
} names[] = {
    {&name_receive_unusual, "_receive_unusual"},
    {&name_control, "_control"},
    {&name_check_type, "_check_type"},
    {&name_make_room, "_make_room"},
    {&name_flushed, "_flushed"},
    {&name_created, "created"}, /* of an observer */
    {&name_send, "send"},       /* of a transport */
    {&name_writable, "writable"},
    {&name_size, "size"}, /* of a packet */
};

#define NAMES_OF_SESSION 5

/* Whether the twin has an attribute; AttributeError if not. */
static int check_attribute(PyObject *twin, const char *name)
{
    return drop_result(PyObject_GetAttrString(twin, name));
}

int session_check_twin(PyObject *twin)
{
    for (const PyMethodDef *method = session_methods; method->ml_name; method++)
        if (check_attribute(twin, method->ml_name) < 0) return -1;
    for (const PyMemberDef *member = session_members; member->name; member++)
        if (check_attribute(twin, member->name) < 0) return -1;
    for (int i = 0; i < NAMES_OF_SESSION; i++)
        if (check_attribute(twin, names[i].name) < 0) return -1;
    return 0;
}

int session_ready(void)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!*names[i].where && !(*names[i].where = PyUnicode_InternFromString(names[i].name)))
            return -1;
    if (!one && !(one = PyLong_FromLong(1))) return -1;
    if (!zero && !(zero = PyLong_FromLong(0))) return -1;
    return PyType_Ready(&SessionCoreType);
}
