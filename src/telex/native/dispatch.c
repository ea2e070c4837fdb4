/*
 * An event's handler, found and called. Twins: Dispatch.receive in events/dispatch.py,
 * call_handler in events/invoke.py, and `fit` and `decode` in events/handlers.py.
 *
 * The socket has no earlier event to finish, no middlewares and no listeners for all events, and
 * one handler takes the event and is called directly. Other events go to Dispatch.take.
 */
#include "native.h"

static PyObject *name_fit, *name_raised, *name_returned, *name_take;

static const DispatchConfig *const config = &dispatch_config;

/* ------------------------------------------------------------------------------- results */

/* Hands the exception of a handler to dispatch.raised(name, ack_id, error). */
static int report_raised(PyObject *dispatch, PyObject *name, const EventHeader *header)
{
    PyObject *error = take_error();
    PyObject *id = make_ack_id(header), *told = NULL;
    if (id) {
        PyObject *args[4] = {dispatch, name, id, error};
        told = PyObject_VectorcallMethod(name_raised, args, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                         NULL);
        Py_DECREF(id);
    }
    Py_DECREF(error);
    return drop_result(told);
}

/* Hands what a handler has returned to dispatch.returned(…), which gives what to answer, in a
 * tuple, or None. */
static int report_returned(SessionCore *f, WebSocketConnection *c, PyObject *dispatch,
                           PyObject *handler, PyObject *name, PyObject *socket,
                           const EventHeader *header, PyObject *result)
{
    PyObject *id = make_ack_id(header);
    if (!id) return -1;
    PyObject *args[6] = {dispatch, handler, name, id, Py_None, result};
    PyObject *done =
        PyObject_VectorcallMethod(name_returned, args, 6 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(id);
    if (!done) return -1;
    int sent = 0;
    if (header->ack_wanted && PyTuple_CheckExact(done) && PyTuple_GET_SIZE(done) == 1)
        sent = answer_event(f, c, socket, header, PyTuple_GET_ITEM(done, 0));
    Py_DECREF(done);
    return sent;
}

/* Whether a value is sent as it is, and never awaited. */
static bool is_data(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    return value == Py_None || type == &PyUnicode_Type || type == &PyLong_Type
           || type == &PyDict_Type || type == &PyList_Type || type == &PyBool_Type
           || type == &PyFloat_Type || type == &PyTuple_Type || type == &PyBytes_Type
           || (PyType_IsSubtype(type, config->struct_type)
               && !(type->tp_as_async && type->tp_as_async->am_await));
}

/* ------------------------------------------------------------------------------- the handler */

/* What a dictionary has for an event: a tuple of handlers. */
static int find_handlers(PyObject *by_event, PyObject *name, PyObject **handlers)
{
    *handlers = NULL;
    if (!by_event || !PyDict_CheckExact(by_event)) return 0;
    *handlers = Py_XNewRef(PyDict_GetItemWithError(by_event, name));
    return *handlers ? 1 : PyErr_Occurred() ? -1 : 0;
}

/* The only handler of an event, if it is called directly. */
static int find_handler(PyObject *dispatch, PyObject *name, PyObject **handler)
{
    PyObject *handlers = NULL, *more = NULL;
    PyObject *own = Py_XNewRef(slot_get(&config->handlers, dispatch));
    int found = find_handlers(slot_get(&config->shared, dispatch), name, &handlers);
    *handler = NULL;
    if (!own) found = 0;
    if (found >= 0 && own && own != Py_None) {
        PyObject *by_event = slot_get(&config->by_event, own);
        int others = by_event ? find_handlers(by_event, name, &more) : 0;
        if (others < 0) found = -1;
        else if (!by_event || (others && found)) found = 0; /* two handlers are for Dispatch */
        else if (others) found = 1;
    }
    PyObject *given = more ? more : handlers;
    if (found == 1 && (found = PyTuple_CheckExact(given) && PyTuple_GET_SIZE(given) == 1)) {
        PyObject *only = PyTuple_GET_ITEM(given, 0);
        found = slot_get(&config->direct, only) == Py_True
                && slot_get(&config->ack, only) == Py_None;
        if (found) *handler = Py_NewRef(only);
    }
    Py_XDECREF(own);
    Py_XDECREF(handlers);
    Py_XDECREF(more);
    return found < 0 ? decline_error() : found; /* a name that is like no text: see Dispatch.find */
}

/* How many arguments of those that have come the handler takes; -1 if that is for Dispatch. */
static Py_ssize_t count_arguments(PyObject *handler, Py_ssize_t come)
{
    PyObject *limit = slot_get(&config->limit, handler);
    PyObject *required = slot_get(&config->required, handler);
    if (!limit || !required || !PyLong_CheckExact(required) || !slot_get(&config->call, handler)
        || !slot_get(&config->typed, handler) || come < PyLong_AsSsize_t(required))
        return -1;
    Py_ssize_t most = come;
    if (limit != Py_None) {
        if (!PyLong_CheckExact(limit)) return -1;
        most = PyLong_AsSsize_t(limit);
    }
    if (come > most) come = most;
    return come <= MAX_ARGUMENTS ? come : -1;
}

/* Converts `count` arguments of an event (a list) with handler.fit: a list or a tuple. */
static PyObject *fit_arguments(PyObject *handler, PyObject *event, Py_ssize_t count)
{
    PyObject *come = PyList_GetSlice(event, 1, 1 + count);
    PyObject *given = come ? PyObject_CallMethodOneArg(handler, name_fit, come) : NULL;
    Py_XDECREF(come);
    if (given && !PyList_CheckExact(given) && !PyTuple_CheckExact(given)) {
        PyErr_SetString(PyExc_TypeError, "fit gives a list or a tuple");
        Py_CLEAR(given);
    }
    return given;
}

/* Calls the handler with what it takes of `event` behind its name; a tuple fits as it is. */
static PyObject *call_handler(PyObject *handler, PyObject *socket, PyObject *event,
                              Py_ssize_t count)
{
    PyObject *stack[MAX_ARGUMENTS + 2], **args = stack + 1;
    PyObject *given = event;
    Py_ssize_t before = 1; /* the event's name */
    bool typed = PyList_CheckExact(event) && slot_get(&config->typed, handler) != Py_False;
    bool with_socket = slot_get(&config->with_socket, handler) == Py_True;
    PyObject *function = Py_XNewRef(slot_get(&config->call, handler));
    if (typed) {
        given = fit_arguments(handler, event, count);
        if (!given) {
            Py_XDECREF(function);
            return NULL;
        }
        before = 0;
        count = PySequence_Fast_GET_SIZE(given);
    }
    size_t used = 0;
    PyObject *result = NULL;
    if (with_socket) args[used++] = Py_NewRef(socket);
    /* The function gets references of its own: it may know the list, and change it. */
    if (function && count <= MAX_ARGUMENTS && before + count <= PySequence_Fast_GET_SIZE(given)) {
        for (Py_ssize_t i = 0; i < count; i++)
            args[used++] = Py_NewRef(PySequence_Fast_GET_ITEM(given, before + i));
        result = PyObject_Vectorcall(function, args, used | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    } else {
        PyErr_SetString(PyExc_SystemError, "a handler has changed while its event was prepared");
    }
    while (used) Py_DECREF(args[--used]);
    Py_XDECREF(function);
    if (typed) Py_DECREF(given);
    return result;
}

/* Calls the handler of an event, and answers: 1, or -1; 0 if there is no socket any more. */
static int run_handler(SessionCore *f, WebSocketConnection *c, PyObject *dispatch,
                       PyObject *handler, PyObject *event, Py_ssize_t count, const EventHeader *header)
{
    PyObject *socket = Py_XNewRef(slot_get(&config->recipient, dispatch));
    if (!socket) return 0;
    PyObject *name = Py_NewRef(PySequence_Fast_GET_ITEM(event, 0));
    PyObject *result = call_handler(handler, socket, event, count);
    int done = 0;
    if (!result) done = report_raised(dispatch, name, header);
    else if (!is_data(result))
        done = report_returned(f, c, dispatch, handler, name, socket, header, result);
    else if (header->ack_wanted) done = answer_event(f, c, socket, header, result);
    Py_XDECREF(result);
    Py_DECREF(socket);
    Py_DECREF(name);
    return done < 0 ? -1 : 1;
}

/* ------------------------------------------------------------------------------- events */

/* Whether a client may send an event of this name: 1, 0 or -1. */
static int is_allowed(PyObject *name)
{
    int reserved = PySet_Contains(config->reserved, name);
    return reserved < 0 ? decline_error() : !reserved;
}

int is_event(PyObject *dispatch, PyObject *event)
{
    if (!PyList_CheckExact(event) || PyList_GET_SIZE(event) == 0) return 0;
    PyObject *name = PyList_GET_ITEM(event, 0);
    if (!PyUnicode_CheckExact(name) || !slot_get(&config->recipient, dispatch)) return 0;
    return is_allowed(name);
}

bool is_idle(PyObject *dispatch)
{
    return slot_get(&config->busy, dispatch) == Py_False
           && slot_get(&config->interceptors, dispatch) == Py_None;
}

int handle_event(SessionCore *f, WebSocketConnection *c, PyObject *dispatch, PyObject *event,
                 const EventHeader *header)
{
    PyObject *name = Py_NewRef(PyList_GET_ITEM(event, 0)), *handler = NULL;
    int found = find_handler(dispatch, name, &handler);
    Py_DECREF(name);
    if (found <= 0) return found;
    Py_ssize_t count = count_arguments(handler, PyList_GET_SIZE(event) - 1);
    int taken = count < 0 ? 0 : run_handler(f, c, dispatch, handler, event, count, header);
    Py_DECREF(handler);
    return taken;
}

int hand_on_event(PyObject *dispatch, PyObject *event, const EventHeader *header, size_t length)
{
    PyObject *id = make_ack_id(header), *size = id ? PyLong_FromSize_t(length) : NULL;
    int done = -1;
    if (size) {
        PyObject *args[4] = {dispatch, id, event, size};
        done = drop_result(
            PyObject_VectorcallMethod(name_take, args, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL));
    }
    Py_XDECREF(id);
    Py_XDECREF(size);
    return done < 0 ? -1 : 1;
}

/* Decodes a text with handler.decode: 1 with an event, which is a tuple; 0; -1. */
static int decode_event(PyObject *handler, PyObject *name, PyObject *text, PyObject **event)
{
    PyObject *decode = Py_XNewRef(slot_get(&config->decode, handler));
    *event = is_none(decode) ? NULL : PyObject_CallOneArg(decode, text);
    Py_XDECREF(decode);
    if (!*event) return decline_error(); /* what is wrong with it is found step by step */
    int right = PyTuple_CheckExact(*event) && PyTuple_GET_SIZE(*event) > 0
                && PyTuple_GET_SIZE(*event) <= MAX_ARGUMENTS;
    if (right) right = PyObject_RichCompareBool(PyTuple_GET_ITEM(*event, 0), name, Py_EQ);
    if (right < 0) right = decline_error();
    if (right <= 0) Py_CLEAR(*event);
    return right;
}

int handle_typed_event(SessionCore *f, WebSocketConnection *c, PyObject *dispatch, const char *data,
                       PyObject *text, const EventHeader *header)
{
    const char *start = data + 2;
    const char *end = data[1] == '"' ? memchr(start, '"', (size_t)config->longest_name) : NULL;
    if (!end) return 0;
    PyObject *name = PyUnicode_DecodeUTF8(start, end - start, NULL), *handler = NULL, *event = NULL;
    if (!name) return decline_error();
    int taken = slot_get(&config->recipient, dispatch) ? is_allowed(name) : 0;
    if (taken == 1) taken = find_handler(dispatch, name, &handler);
    if (taken == 1) taken = slot_get(&config->call, handler) != NULL;
    if (taken == 1) taken = decode_event(handler, name, text, &event);
    if (taken == 1)
        taken = run_handler(f, c, dispatch, handler, event, PyTuple_GET_SIZE(event) - 1, header);
    Py_XDECREF(event);
    Py_XDECREF(handler);
    Py_DECREF(name);
    return taken;
}

int dispatch_ready(void)
{
    static const struct {
        PyObject **where;
        const char *name;
    } names[] = {
        {&name_fit, "fit"},
        {&name_raised, "raised"},
        {&name_returned, "returned"},
        {&name_take, "take"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!*names[i].where && !(*names[i].where = PyUnicode_InternFromString(names[i].name)))
            return -1;
    return 0;
}
