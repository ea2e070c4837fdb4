/* deliver_all: one packet for many sockets. Twin: adapter/memory.py. */
#include "native.h"

static PyObject *name_deliver;

/* The attribute `deliver` of one class, if it is a slot there: that of the peers seen last. */
static Slot deliver_slot;

/* What delivers packets to a peer. */
static PyObject *read_deliver(PyObject *peer)
{
    PyObject *deliver = NULL;
    if (!Py_IS_TYPE(peer, deliver_slot.type)
        && slot_find(&deliver_slot, Py_TYPE(peer), "deliver") < 0)
        return NULL;
    if (Py_IS_TYPE(peer, deliver_slot.type)) deliver = Py_XNewRef(slot_get(&deliver_slot, peer));
    return deliver ? deliver : PyObject_GetAttr(peer, name_deliver);
}

/* Asks for what is behind a peer in advance; runs no Python. */
static void prefetch_deliver(PyObject *peer)
{
    if (!Py_IS_TYPE(peer, deliver_slot.type)) return;
    PyObject *deliver = slot_get(&deliver_slot, peer);
    if (deliver) PREFETCH(deliver);
}

PyObject *deliver_all(PyObject *module, PyObject *args)
{
    PyObject *peers, *packet;
    if (!PyArg_ParseTuple(args, "O!O:deliver_all", &PyList_Type, &peers, &packet)) return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(peers); i++) {
        Py_ssize_t ahead = i + AHEAD;
        if (ahead + AHEAD < PyList_GET_SIZE(peers)) {
            PREFETCH(PyList_GET_ITEM(peers, ahead + AHEAD));
            prefetch_deliver(PyList_GET_ITEM(peers, ahead));
        }
        PyObject *peer = Py_NewRef(PyList_GET_ITEM(peers, i));
        PyObject *deliver = read_deliver(peer);
        Py_DECREF(peer);
        if (!deliver) return NULL;
        PyObject *done = is_session_send(deliver)
                             ? session_send((SessionCore *)PyCFunction_GET_SELF(deliver), packet)
                             : PyObject_CallOneArg(deliver, packet);
        Py_DECREF(deliver);
        if (drop_result(done) < 0) return NULL;
    }
    Py_RETURN_NONE;
}

int memory_ready(void)
{
    return name_deliver || (name_deliver = PyUnicode_InternFromString("deliver")) ? 0 : -1;
}
