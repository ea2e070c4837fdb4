/*
 * Cork, flush_all: the sessions that have something to say at the end of the loop's turn.
 * Twin: fronts/driver.py.
 */
#include "native.h"

static PyObject *name_flush;

typedef struct {
    PyObject_HEAD
    PyObject *wake;
    PyObject *sessions;
    vectorcallfunc call;
} Cork;

int add_to_cork(PyObject *cork, PyObject *session)
{
    Cork *c = (Cork *)cork;
    if (!c->wake) return 0; /* the garbage collector is taking it apart */
    if (PyList_GET_SIZE(c->sessions) == 0) {
        PyObject *wake = Py_NewRef(c->wake);
        int woken = drop_result(PyObject_CallNoArgs(wake));
        Py_DECREF(wake);
        if (woken < 0) return -1;
    }
    return PyList_Append(c->sessions, session);
}

static PyObject *cork_call(PyObject *self, PyObject *const *args, size_t count, PyObject *names)
{
    if (PyVectorcall_NARGS(count) != 1 || names) {
        PyErr_SetString(PyExc_TypeError, "a cork is called with a session");
        return NULL;
    }
    if (add_to_cork(self, args[0]) < 0) return NULL;
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
    if (c->sessions) PyList_SetSlice(c->sessions, 0, PyList_GET_SIZE(c->sessions), NULL);
    return 0;
}

static void cork_dealloc(Cork *c)
{
    PyObject_GC_UnTrack(c);
    Py_CLEAR(c->wake);
    Py_CLEAR(c->sessions);
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

/* ------------------------------------------------------------------------------- flush_all */

static void prefetch_session(PyObject *session)
{
    if (!PyObject_TypeCheck(session, &SessionCoreType)) return;
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
            prefetch_session(PyList_GET_ITEM(sessions, ahead));
        }
        PyObject *session = Py_NewRef(PyList_GET_ITEM(sessions, i));
        PyObject *flushed = PyObject_TypeCheck(session, &SessionCoreType)
                                ? session_flush((SessionCore *)session, NULL)
                                : PyObject_CallMethodNoArgs(session, name_flush);
        if (!flushed && PyErr_ExceptionMatches(PyExc_Exception)) {
            PyObject *error = take_error();
            PyObject *told[3] = {NULL, session, error};
            flushed = PyObject_Vectorcall(failed, told + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                          NULL);
            Py_DECREF(error);
        }
        Py_DECREF(session);
        if (drop_result(flushed) < 0) return NULL;
    }
    Py_RETURN_NONE;
}

int driver_ready(void)
{
    if (!name_flush && !(name_flush = PyUnicode_InternFromString("flush"))) return -1;
    return PyType_Ready(&CorkType);
}
