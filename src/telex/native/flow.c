/*
 * SessionCore: what passes a session (engine/session_core.py says what its methods mean).
 * Cork: the sessions that have something to say at the end of this turn (fronts/driver.py).
 *
 * An unusual moment is one for a method of the Python class that extends SessionCore:
 *
 *     _receive_unusual(data)  the session is not open, is observed, or waits for a pong
 *     _control(text)          a packet that is no message
 *     _check_type(data)       a binary message of revision 3: whether its type byte is right
 *     _observed(packet)       an observer is to see a packet
 *     _make_room()            more than the limit waits: whether one more packet may
 *     _flushed(packet)        the last of a batch has been sent, and somebody wants to know
 */
#include "native.h"

PyObject *open_state;

static PyObject *name_receive_unusual, *name_control, *name_check_type, *name_created,
    *name_make_room, *name_flushed, *name_send, *name_size, *name_writable, *name_flush,
    *name_deliver, *one, *zero;

/* ------------------------------------------------------------------------------- Cork */

typedef struct {
    PyObject_HEAD
    PyObject *wake;
    PyObject *sessions;
    vectorcallfunc call;
} Cork;

static int cork_add(Cork *c, PyObject *session)
{
    if (PyList_GET_SIZE(c->sessions) == 0) {
        PyObject *result = PyObject_CallNoArgs(c->wake);
        if (!result) return -1;
        Py_DECREF(result);
    }
    return PyList_Append(c->sessions, session);
}

static PyObject *cork_call(PyObject *self, PyObject *const *args, size_t count, PyObject *names)
{
    if (PyVectorcall_NARGS(count) != 1 || names) {
        PyErr_SetString(PyExc_TypeError, "a cork is called with a session");
        return NULL;
    }
    if (cork_add((Cork *)self, args[0]) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *cork_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *wake;
    if (!PyArg_ParseTuple(args, "O:Cork", &wake)) return NULL;
    Cork *c = (Cork *)type->tp_alloc(type, 0);
    if (!c) return NULL;
    c->wake = Py_NewRef(wake);
    c->call = cork_call;
    if (!(c->sessions = PyList_New(0))) Py_CLEAR(c);
    return (PyObject *)c;
}

static PyObject *cork_take(Cork *c, PyObject *unused)
{
    PyObject *empty = PyList_New(0);
    if (!empty) return NULL;
    PyObject *sessions = c->sessions;
    c->sessions = empty;
    return sessions;
}

static Py_ssize_t cork_length(Cork *c)
{
    return PyList_GET_SIZE(c->sessions);
}

static int cork_traverse(Cork *c, visitproc visit, void *arg)
{
    Py_VISIT(c->wake);
    Py_VISIT(c->sessions);
    return 0;
}

static int cork_clear(Cork *c)
{
    Py_CLEAR(c->wake);
    Py_CLEAR(c->sessions);
    return 0;
}

static void cork_dealloc(Cork *c)
{
    PyObject_GC_UnTrack(c);
    cork_clear(c);
    Py_TYPE(c)->tp_free((PyObject *)c);
}

static PyMethodDef cork_methods[] = {
    {"take", (PyCFunction)cork_take, METH_NOARGS, "The sessions that were told; begin anew."},
    {0},
};

static PySequenceMethods cork_sequence = {.sq_length = (lenfunc)cork_length};

PyTypeObject CorkType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "telex.native._telex.Cork",
    .tp_doc = "Cork(wake): is told about sessions; the first after `take` wakes.",
    .tp_basicsize = sizeof(Cork),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Cork, call),
    .tp_call = PyVectorcall_Call,
    .tp_new = cork_new,
    .tp_dealloc = (destructor)cork_dealloc,
    .tp_traverse = (traverseproc)cork_traverse,
    .tp_clear = (inquiry)cork_clear,
    .tp_methods = cork_methods,
    .tp_as_sequence = &cork_sequence,
};

/* ------------------------------------------------------------------------------- receive */

static bool is_none(PyObject *value)
{
    return !value || value == Py_None;
}

PyObject *flow_receive(SessionCore *f, PyObject *data)
{
    if (f->state != open_state || !is_none(f->observer) || f->awaiting_pong)
        return PyObject_CallMethodOneArg((PyObject *)f, name_receive_unusual, data);
    PyObject *skip = one;
    if (PyUnicode_CheckExact(data)) {
        if (PyUnicode_GET_LENGTH(data) == 0 || PyUnicode_READ_CHAR(data, 0) != '4')
            return PyObject_CallMethodOneArg((PyObject *)f, name_control, data);
        if (!(is_none(f->lane) && is_none(f->lanes)) && PyUnicode_IS_COMPACT_ASCII(data)) {
            int taken = lane_take(f, NULL, PyUnicode_DATA(data), (size_t)PyUnicode_GET_LENGTH(data));
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

/* ------------------------------------------------------------------------------- send */

/* Puts a packet behind those that wait. */
static int put(SessionCore *f, PyObject *packet)
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
static int tell(PyObject *cork, SessionCore *f)
{
    int done = 0;
    Py_INCREF(cork);
    if (Py_IS_TYPE(cork, &CorkType)) {
        done = cork_add((Cork *)cork, (PyObject *)f);
    } else {
        PyObject *told = PyObject_CallOneArg(cork, (PyObject *)f);
        if (!told) done = -1;
        Py_XDECREF(told);
    }
    Py_DECREF(cork);
    return done;
}

PyObject *flow_send(SessionCore *f, PyObject *packet)
{
    if (f->state != open_state) Py_RETURN_NONE;
    if (!is_none(f->observer)) {
        PyObject *observer = Py_NewRef(f->observer);
        PyObject *seen = PyObject_CallMethodOneArg(observer, name_created, packet);
        Py_DECREF(observer);
        if (!seen) return NULL;
        Py_DECREF(seen);
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
    if (put(f, packet) < 0) return NULL;
    if (!f->corked) {
        f->corked = 1;
        if (f->cork && tell(f->cork, f) < 0) {
            f->corked = 0; /* the next packet tells the cork again */
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

bool is_send(PyObject *deliver)
{
    return PyCFunction_CheckExact(deliver)
           && PyCFunction_GET_FUNCTION(deliver) == (PyCFunction)flow_send;
}

/* ------------------------------------------------------------------------------- flush */

static int is_writable(PyObject *transport)
{
    if (PyObject_TypeCheck(transport, &ChannelType)) return ((WebSocketConnection *)transport)->writable;
    PyObject *writable = PyObject_GetAttr(transport, name_writable);
    if (!writable) return -1;
    int result = PyObject_IsTrue(writable);
    Py_DECREF(writable);
    return result;
}

/* Hands a batch to a transport. */
static int hand_over(PyObject *transport, PyObject *first, PyObject *rest)
{
    if (PyObject_TypeCheck(transport, &ChannelType))
        return channel_send_packets((WebSocketConnection *)transport, first, rest);
    Py_ssize_t more = rest ? PyList_GET_SIZE(rest) : 0;
    PyObject *packets = PyList_New(1 + more);
    if (!packets) return -1;
    PyList_SET_ITEM(packets, 0, Py_NewRef(first));
    for (Py_ssize_t i = 0; i < more; i++)
        PyList_SET_ITEM(packets, 1 + i, Py_NewRef(PyList_GET_ITEM(rest, i)));
    PyObject *sent = PyObject_CallMethodOneArg(transport, name_send, packets);
    Py_DECREF(packets);
    Py_XDECREF(sent);
    return sent ? 0 : -1;
}

PyObject *flow_flush(SessionCore *f, PyObject *unused)
{
    f->corked = 0;
    if (!f->first || !f->transport) Py_RETURN_NONE;
    PyObject *transport = Py_NewRef(f->transport);
    int writable = is_writable(transport);
    if (writable <= 0 || !f->first) { /* who was asked may have flushed, too */
        Py_DECREF(transport);
        if (writable < 0) return NULL;
        Py_RETURN_NONE;
    }
    PyObject *first = f->first, *rest = f->rest;
    f->first = f->rest = NULL;
    f->queued = 0;
    int result = hand_over(transport, first, rest);
    Py_DECREF(transport);
    if (result == 0
        && (f->behind || !is_none(f->on_drain) || !is_none(f->drain_callbacks)
            || f->state != open_state)) {
        Py_ssize_t more = rest ? PyList_GET_SIZE(rest) : 0;
        PyObject *last = Py_NewRef(more ? PyList_GET_ITEM(rest, more - 1) : first);
        PyObject *told = PyObject_CallMethodOneArg((PyObject *)f, name_flushed, last);
        Py_DECREF(last);
        Py_XDECREF(told);
        if (!told) result = -1;
    }
    Py_DECREF(first);
    Py_XDECREF(rest);
    if (result < 0) return NULL;
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------------------- many */

/* With thousands of clients, what belongs to each is in no cache: it is asked for in advance. */
#define AHEAD 6

#define PREFETCH(object) __builtin_prefetch((const char *)(object), 1)

static void expect_flow(PyObject *session)
{
    if (!PyObject_TypeCheck(session, &FlowType)) return;
    SessionCore *f = (SessionCore *)session;
    if (f->transport) {
        PREFETCH(f->transport);
        PREFETCH((char *)f->transport + 128);
    }
}

PyObject *flush_all(PyObject *module, PyObject *args)
{
    PyObject *sessions, *failed;
    if (!PyArg_ParseTuple(args, "O!O:flush_all", &PyList_Type, &sessions, &failed)) return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(sessions); i++) {
        Py_ssize_t ahead = i + AHEAD;
        if (ahead + AHEAD < PyList_GET_SIZE(sessions)) {
            PREFETCH(PyList_GET_ITEM(sessions, ahead + AHEAD));
            PREFETCH((char *)PyList_GET_ITEM(sessions, ahead + AHEAD) + 64);
            expect_flow(PyList_GET_ITEM(sessions, ahead));
        }
        PyObject *session = Py_NewRef(PyList_GET_ITEM(sessions, i));
        PyObject *flushed = PyObject_TypeCheck(session, &FlowType)
                                ? flow_flush((SessionCore *)session, NULL)
                                : PyObject_CallMethodNoArgs(session, name_flush);
        if (!flushed && PyErr_ExceptionMatches(PyExc_Exception)) {
            PyObject *error = take_error();
            PyObject *told[3] = {NULL, session, error};
            flushed = PyObject_Vectorcall(failed, told + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
            Py_DECREF(error);
        }
        Py_DECREF(session);
        if (!flushed) return NULL;
        Py_DECREF(flushed);
    }
    Py_RETURN_NONE;
}

static Slot slot_deliver = {"deliver", NULL, 0};

PyObject *deliver_all(PyObject *module, PyObject *args)
{
    PyObject *peers, *packet;
    if (!PyArg_ParseTuple(args, "O!O:deliver_all", &PyList_Type, &peers, &packet)) return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(peers); i++) {
        Py_ssize_t ahead = i + AHEAD;
        if (ahead + AHEAD < PyList_GET_SIZE(peers)) {
            PREFETCH(PyList_GET_ITEM(peers, ahead + AHEAD));
            PyObject *next = PyList_GET_ITEM(peers, ahead); /* looked at only if that runs nothing */
            if (Py_IS_TYPE(next, slot_deliver.type)) {
                PyObject *deliver = slot_get(&slot_deliver, next);
                if (deliver) PREFETCH(deliver);
            }
        }
        PyObject *peer = Py_NewRef(PyList_GET_ITEM(peers, i));
        PyObject *deliver = Py_XNewRef(slot_get(&slot_deliver, peer));
        if (!deliver) deliver = PyObject_GetAttr(peer, name_deliver);
        Py_DECREF(peer);
        if (!deliver) return NULL;
        PyObject *done = is_send(deliver) ? flow_send((SessionCore *)PyCFunction_GET_SELF(deliver), packet)
                                          : PyObject_CallOneArg(deliver, packet);
        Py_DECREF(deliver);
        if (!done) return NULL;
        Py_DECREF(done);
    }
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------------------- SessionCore */

static PyObject *flow_put(SessionCore *f, PyObject *packet)
{
    if (put(f, packet) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *flow_drop(SessionCore *f, PyObject *unused)
{
    Py_CLEAR(f->first);
    Py_CLEAR(f->rest);
    Py_RETURN_NONE;
}

static PyObject *flow_waiting(SessionCore *f, void *unused)
{
    PyObject *packets = PyList_New(0);
    if (!packets) return NULL;
    if ((f->first && PyList_Append(packets, f->first) < 0)
        || (f->rest && PyList_SetSlice(packets, 1, 1, f->rest) < 0))
        Py_CLEAR(packets);
    return packets;
}

static PyMethodDef flow_methods[] = {
    {"receive", (PyCFunction)flow_receive, METH_O, "Take one packet of the client."},
    {"send", (PyCFunction)flow_send, METH_O, "Queue a packet for the client."},
    {"flush", (PyCFunction)flow_flush, METH_NOARGS, "Hand what is queued to the transport."},
    {"_put", (PyCFunction)flow_put, METH_O, "Queue a packet, whatever the state."},
    {"_drop", (PyCFunction)flow_drop, METH_NOARGS, "Forget what is queued."},
    {0},
};

static PyMemberDef flow_members[] = {
    {"state", T_OBJECT, offsetof(SessionCore, state), 0, NULL},
    {"transport", T_OBJECT, offsetof(SessionCore, transport), 0, NULL},
    {"observer", T_OBJECT, offsetof(SessionCore, observer), 0, NULL},
    {"on_message", T_OBJECT, offsetof(SessionCore, on_message), 0, NULL},
    {"on_drain", T_OBJECT, offsetof(SessionCore, on_drain), 0, NULL},
    {"lane", T_OBJECT, offsetof(SessionCore, lane), 0, NULL},
    {"lanes", T_OBJECT, offsetof(SessionCore, lanes), 0, NULL},
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

static PyGetSetDef flow_getset[] = {
    {"waiting", (getter)flow_waiting, NULL, "The packets that wait, in their order.", NULL},
    {0},
};

static int flow_traverse(SessionCore *f, visitproc visit, void *arg)
{
    Py_VISIT(f->state);
    Py_VISIT(f->transport);
    Py_VISIT(f->observer);
    Py_VISIT(f->on_message);
    Py_VISIT(f->on_drain);
    Py_VISIT(f->cork);
    Py_VISIT(f->lane);
    Py_VISIT(f->lanes);
    Py_VISIT(f->drain_callbacks);
    Py_VISIT(f->first);
    Py_VISIT(f->rest);
    return 0;
}

static int flow_clear(SessionCore *f)
{
    Py_CLEAR(f->state);
    Py_CLEAR(f->transport);
    Py_CLEAR(f->observer);
    Py_CLEAR(f->on_message);
    Py_CLEAR(f->on_drain);
    Py_CLEAR(f->cork);
    Py_CLEAR(f->lane);
    Py_CLEAR(f->lanes);
    Py_CLEAR(f->drain_callbacks);
    Py_CLEAR(f->first);
    Py_CLEAR(f->rest);
    return 0;
}

static PyObject *flow_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    SessionCore *f = (SessionCore *)type->tp_alloc(type, 0);
    if (f) f->state = Py_NewRef(open_state);
    return (PyObject *)f;
}

static void flow_dealloc(SessionCore *f)
{
    PyObject_GC_UnTrack(f);
    flow_clear(f);
    Py_TYPE(f)->tp_free((PyObject *)f);
}

PyTypeObject FlowType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "telex.native._telex.SessionCore",
    .tp_doc = "What passes a session.",
    .tp_basicsize = sizeof(SessionCore),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = flow_new,
    .tp_dealloc = (destructor)flow_dealloc,
    .tp_traverse = (traverseproc)flow_traverse,
    .tp_clear = (inquiry)flow_clear,
    .tp_methods = flow_methods,
    .tp_members = flow_members,
    .tp_getset = flow_getset,
};

bool flow_ready(void)
{
    return (open_state = PyUnicode_InternFromString("open"))
        && (name_receive_unusual = PyUnicode_InternFromString("_receive_unusual"))
        && (name_control = PyUnicode_InternFromString("_control"))
        && (name_check_type = PyUnicode_InternFromString("_check_type"))
        && (name_created = PyUnicode_InternFromString("created"))
        && (name_make_room = PyUnicode_InternFromString("_make_room"))
        && (name_flushed = PyUnicode_InternFromString("_flushed"))
        && (name_flush = PyUnicode_InternFromString("flush"))
        && (name_deliver = PyUnicode_InternFromString("deliver"))
        && (name_send = PyUnicode_InternFromString("send"))
        && (name_size = PyUnicode_InternFromString("size"))
        && (name_writable = PyUnicode_InternFromString("writable"))
        && (one = PyLong_FromLong(1)) && (zero = PyLong_FromLong(0))
        && PyType_Ready(&CorkType) == 0 && PyType_Ready(&FlowType) == 0;
}
