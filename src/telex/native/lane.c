/*
 * The usual event, from its text to its answer, in one go.
 *
 * What happens to an event is said in Python: SessionCore.receive, Connection.receive, TextDecoder.receive,
 * Dispatch.receive, Socket.answer, TextParser.encode. Here is the same for an event that is as most
 * are: JSON without attachments, of a socket that has no earlier event to finish, no middlewares
 * and no listeners for everything, with one handler that is called directly. Other events are
 * decoded here, and go to Dispatch.take. Everything else is given back untouched, before anything
 * has been done.
 *
 * A session has a lane for `/` if its attribute `lane` is a Dispatch, and for other namespaces if
 * these are in its dictionary `lanes`; only as long as the socket is connected, and no packet waits
 * for attachments.
 */
#include "native.h"

#define MAX_DIGITS 16
#define MAX_DEPTH 128 /* brackets; with more than that, somebody has to look (telex.codec.json) */
#define MAX_ARGUMENTS 14
#define LONG 192 /* as telex.events.dispatch has it */
#define LONGEST_NAME 64
#define MAX_NAMESPACE 256 /* bytes, with the comma; longer ones go elsewhere */

/* What an answer needs to know of its event. */
typedef struct {
    bool wanted;
    uint64_t ack_id;
    const char *namespace; /* with the comma behind it; of no length for `/` */
    size_t namespace_size;
} Asked;

static PyObject *loads, *dumps, *dumps_hook, *dumps_options, *reserved, *struct_type; /* see configure */
static PyObject *name_fit, *name_raised, *name_returned, *name_answer, *name_deliver,
    *name_take;

static Slot slot_busy = {"_busy", NULL, 0}, slot_interceptors = {"interceptors", NULL, 0},
            slot_handlers = {"handlers", NULL, 0}, slot_shared = {"_shared", NULL, 0},
            slot_recipient = {"_recipient", NULL, 0}, slot_by_event = {"by_event", NULL, 0},
            slot_direct = {"direct", NULL, 0}, slot_ack = {"ack", NULL, 0},
            slot_typed = {"typed", NULL, 0}, slot_limit = {"limit", NULL, 0},
            slot_required = {"required", NULL, 0}, slot_with_socket = {"with_socket", NULL, 0},
            slot_call = {"call", NULL, 0}, slot_decode = {"decode", NULL, 0};

/* ------------------------------------------------------------------------------- the answer */

/* Whether an answer may go straight to the channel: nothing that was said before waits. */
static bool goes_straight(SessionCore *f, WebSocketConnection *c, PyObject *socket)
{
    if (!c || f->first || f->state != open_state || f->transport != (PyObject *)c
        || (f->observer && f->observer != Py_None) || (f->on_drain && f->on_drain != Py_None)
        || !takes_answers(c))
        return false;
    PyObject *deliver = PyObject_GetAttr(socket, name_deliver);
    if (!deliver) {
        PyErr_Clear();
        return false;
    }
    bool straight = is_send(deliver) && PyCFunction_GET_SELF(deliver) == (PyObject *)f;
    Py_DECREF(deliver);
    return straight;
}

static size_t write_digits(char *end, uint64_t number)
{
    char *p = end;
    do *--p = (char)('0' + number % 10);
    while (number /= 10);
    return (size_t)(end - p);
}

/* The JSON of an answer; NULL if it is not that simple, with or without an exception. */
static PyObject *encode(PyObject *result)
{
    PyObject *values;
    if (result == Py_None) return PyBytes_FromStringAndSize("[]", 2);
    if (PyTuple_CheckExact(result)) {
        values = PySequence_List(result);
    } else if ((values = PyList_New(1))) {
        PyList_SET_ITEM(values, 0, Py_NewRef(result));
    }
    if (!values) return NULL;
    PyObject *args[4] = {NULL, values, dumps_hook, dumps_options};
    PyObject *text = PyObject_Vectorcall(dumps, args + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(values);
    if (text && !PyBytes_CheckExact(text)) Py_CLEAR(text);
    return text;
}

static int answer(SessionCore *f, WebSocketConnection *c, PyObject *socket, const Asked *asked, PyObject *result)
{
    if (goes_straight(f, c, socket)) {
        PyObject *text = encode(result);
        if (text) {
            char head[2 + MAX_NAMESPACE + 20], *end = head + sizeof head;
            size_t size = write_digits(end, asked->ack_id) + asked->namespace_size;
            memcpy(end - size, asked->namespace, asked->namespace_size);
            *(end - ++size) = '3';
            *(end - ++size) = '4';
            int added = add_answer(c, end - size, size, PyBytes_AS_STRING(text),
                                   (size_t)PyBytes_GET_SIZE(text));
            Py_DECREF(text);
            return added;
        }
        if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception)) return -1;
        PyErr_Clear(); /* there is more to say than orjson knows */
    }
    PyObject *id = PyLong_FromUnsignedLongLong(asked->ack_id);
    if (!id) return -1;
    PyObject *args[3] = {socket, id, result};
    PyObject *sent =
        PyObject_VectorcallMethod(name_answer, args, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(id);
    Py_XDECREF(sent);
    return sent ? 0 : -1;
}

/* ------------------------------------------------------------------------------- the handler */

static PyObject *id_object(const Asked *asked)
{
    return asked->wanted ? PyLong_FromUnsignedLongLong(asked->ack_id) : Py_NewRef(Py_None);
}

/* The handler has raised: dispatch.raised(name, ack_id, error). */
static int raised(PyObject *dispatch, PyObject *name, const Asked *asked)
{
    PyObject *error = take_error();
    PyObject *id = id_object(asked), *told = NULL;
    if (id) {
        PyObject *args[4] = {dispatch, name, id, error};
        told = PyObject_VectorcallMethod(name_raised, args, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        Py_DECREF(id);
    }
    Py_DECREF(error);
    Py_XDECREF(told);
    return told ? 0 : -1;
}

/* The handler has returned what has to be looked at: dispatch.returned(…), which says what to
 * answer, in a tuple, or None. */
static int returned(SessionCore *f, WebSocketConnection *c, PyObject *dispatch, PyObject *handler, PyObject *name,
                    PyObject *socket, const Asked *asked, PyObject *result)
{
    PyObject *id = id_object(asked);
    if (!id) return -1;
    PyObject *args[6] = {dispatch, handler, name, id, Py_None, result};
    PyObject *done =
        PyObject_VectorcallMethod(name_returned, args, 6 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(id);
    if (!done) return -1;
    int sent = 0;
    if (asked->wanted && PyTuple_CheckExact(done) && PyTuple_GET_SIZE(done) == 1)
        sent = answer(f, c, socket, asked, PyTuple_GET_ITEM(done, 0));
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
           || (PyType_IsSubtype(type, (PyTypeObject *)struct_type)
               && !(type->tp_as_async && type->tp_as_async->am_await));
}

/* What a dictionary has for an event; NULL without an exception if that is nothing. */
static PyObject *look_up(PyObject *by_event, PyObject *name)
{
    if (!by_event || !PyDict_CheckExact(by_event)) return NULL;
    return Py_XNewRef(PyDict_GetItemWithError(by_event, name));
}

/* The only handler of an event, or NULL if this is not that simple. */
static PyObject *find_handler(PyObject *dispatch, PyObject *name)
{
    PyObject *own = Py_XNewRef(slot_get(&slot_handlers, dispatch));
    PyObject *handlers = look_up(slot_get(&slot_shared, dispatch), name), *handler = NULL;
    if (own && own != Py_None) {
        PyObject *by_event = slot_get(&slot_by_event, own), *more = look_up(by_event, name);
        if (!by_event || (more && handlers)) Py_CLEAR(handlers);
        else if (more) Py_XSETREF(handlers, Py_NewRef(more));
        Py_XDECREF(more);
    }
    if (own && handlers && PyTuple_CheckExact(handlers) && PyTuple_GET_SIZE(handlers) == 1)
        handler = Py_NewRef(PyTuple_GET_ITEM(handlers, 0));
    Py_XDECREF(handlers);
    Py_XDECREF(own);
    if (handler
        && (slot_get(&slot_direct, handler) != Py_True || slot_get(&slot_ack, handler) != Py_None))
        Py_CLEAR(handler);
    return handler;
}

/* Calls the handler with what it takes of `event` behind its name; a tuple fits as it is. */
static PyObject *call(PyObject *handler, PyObject *socket, PyObject *event, Py_ssize_t count)
{
    PyObject *stack[MAX_ARGUMENTS + 2], **args = stack + 1;
    PyObject *given = event;
    Py_ssize_t before = 1; /* the event's name */
    bool typed = PyList_CheckExact(event) && slot_get(&slot_typed, handler) != Py_False;
    bool with_socket = slot_get(&slot_with_socket, handler) == Py_True;
    PyObject *function = Py_XNewRef(slot_get(&slot_call, handler));
    if (typed) {
        PyObject *come = PyList_GetSlice(event, 1, 1 + count);
        given = come ? PyObject_CallMethodOneArg(handler, name_fit, come) : NULL;
        Py_XDECREF(come);
        before = 0;
        if (given && !PyList_CheckExact(given) && !PyTuple_CheckExact(given)) {
            PyErr_SetString(PyExc_TypeError, "fit gives a list or a tuple");
            Py_CLEAR(given);
        }
        if (!given) {
            Py_XDECREF(function);
            return NULL;
        }
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

/* How many arguments of those that have come the handler takes; -1 if that is not that simple. */
static Py_ssize_t arguments(PyObject *handler, Py_ssize_t come)
{
    PyObject *limit = slot_get(&slot_limit, handler), *required = slot_get(&slot_required, handler);
    if (!limit || !required || !PyLong_CheckExact(required) || !slot_get(&slot_call, handler)
        || !slot_get(&slot_typed, handler) || come < PyLong_AsSsize_t(required))
        return -1;
    Py_ssize_t most = come;
    if (limit != Py_None) {
        if (!PyLong_CheckExact(limit)) return -1;
        most = PyLong_AsSsize_t(limit);
    }
    if (come > most) come = most;
    return come <= MAX_ARGUMENTS ? come : -1;
}

/* Calls the handler of an event, and answers: 1, or -1; 0 if there is nobody to call it for. */
static int run(SessionCore *f, WebSocketConnection *c, PyObject *dispatch, PyObject *handler, PyObject *event,
               Py_ssize_t count, const Asked *asked)
{
    PyObject *socket = Py_XNewRef(slot_get(&slot_recipient, dispatch));
    if (!socket) return 0;
    PyObject *name = Py_NewRef(PySequence_Fast_GET_ITEM(event, 0));
    PyObject *result = call(handler, socket, event, count);
    int done = 0;
    if (!result) done = raised(dispatch, name, asked);
    else if (!is_data(result)) done = returned(f, c, dispatch, handler, name, socket, asked, result);
    else if (asked->wanted) done = answer(f, c, socket, asked, result);
    Py_XDECREF(result);
    Py_DECREF(socket);
    Py_DECREF(name);
    return done < 0 ? -1 : 1;
}

/* Whether what has been decoded is an event with a name that a client may send. */
static bool is_event(PyObject *dispatch, PyObject *event)
{
    if (!PyList_CheckExact(event) || PyList_GET_SIZE(event) == 0) return false;
    PyObject *name = PyList_GET_ITEM(event, 0);
    if (!PyUnicode_CheckExact(name) || !slot_get(&slot_recipient, dispatch)) return false;
    int unusual = PySet_Contains(reserved, name);
    if (unusual < 0) PyErr_Clear();
    return !unusual;
}

static bool has_nothing_else_to_do(PyObject *dispatch)
{
    return slot_get(&slot_busy, dispatch) == Py_False && slot_get(&slot_interceptors, dispatch) == Py_None;
}

/* An event has been decoded: 1, 0 or -1 as lane_take says. */
static int handle(SessionCore *f, WebSocketConnection *c, PyObject *dispatch, PyObject *event, const Asked *asked)
{
    PyObject *handler = find_handler(dispatch, PyList_GET_ITEM(event, 0));
    if (!handler) {
        PyErr_Clear(); /* a name that is like no text: see Dispatch.find */
        return 0;
    }
    Py_ssize_t count = arguments(handler, PyList_GET_SIZE(event) - 1);
    int taken = count < 0 ? 0 : run(f, c, dispatch, handler, event, count, asked);
    Py_DECREF(handler);
    return taken;
}

/* The number of characters of UTF-8. */
static size_t characters(const char *data, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) count += ((unsigned char)data[i] & 0xc0) != 0x80;
    return count;
}

/* An event for Dispatch.take: of a socket that is busy or has middlewares, of other handlers. */
static int hand_on(PyObject *dispatch, PyObject *event, const Asked *asked, size_t length)
{
    PyObject *id = id_object(asked), *size = PyLong_FromSize_t(length), *taken = NULL;
    if (id && size) {
        PyObject *args[4] = {dispatch, id, event, size};
        taken = PyObject_VectorcallMethod(name_take, args, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    Py_XDECREF(id);
    Py_XDECREF(size);
    Py_XDECREF(taken);
    return taken ? 1 : -1;
}

/* The same for a text whose handler knows how to decode it into its types (Handler.decode). */
static int handle_typed(SessionCore *f, WebSocketConnection *c, PyObject *dispatch, const char *data, PyObject *text,
                        const Asked *asked)
{
    const char *end = data[1] == '"' ? memchr(data + 2, '"', LONGEST_NAME) : NULL;
    PyObject *name = end ? PyUnicode_DecodeUTF8(data + 2, end - data - 2, NULL) : NULL;
    PyObject *handler = NULL, *decode = NULL, *event = NULL;
    int taken = 0;
    if (name && PySet_Contains(reserved, name) == 0 && slot_get(&slot_recipient, dispatch))
        handler = find_handler(dispatch, name);
    if (handler && slot_get(&slot_call, handler))
        decode = Py_XNewRef(slot_get(&slot_decode, handler));
    if (decode && decode != Py_None) event = PyObject_CallOneArg(decode, text);
    if (event && PyTuple_CheckExact(event) && PyTuple_GET_SIZE(event) <= MAX_ARGUMENTS
        && PyObject_RichCompareBool(PyTuple_GET_ITEM(event, 0), name, Py_EQ) == 1)
        taken = run(f, c, dispatch, handler, event, PyTuple_GET_SIZE(event) - 1, asked);
    else if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
        taken = -1;
    else
        PyErr_Clear(); /* what is not just so is decoded step by step */
    Py_XDECREF(event);
    Py_XDECREF(decode);
    Py_XDECREF(handler);
    Py_XDECREF(name);
    return taken;
}

/* ------------------------------------------------------------------------------- the text */

static bool may_be_deep(const char *data, size_t size)
{
    if (size <= MAX_DEPTH) return false;
    size_t brackets = 0;
    for (size_t i = 0; i < size; i++) brackets += data[i] == '[' || data[i] == '{';
    return brackets > MAX_DEPTH;
}

/* The lane of the namespace that a packet begins with. */
static PyObject *lane_for(SessionCore *f, Asked *asked, size_t size)
{
    if (!f->lanes || !PyDict_CheckExact(f->lanes)) return NULL;
    if (size > MAX_NAMESPACE) size = MAX_NAMESPACE;
    const char *comma = memchr(asked->namespace, ',', size);
    if (!comma) return NULL;
    asked->namespace_size = (size_t)(comma - asked->namespace) + 1;
    PyObject *name =
        PyUnicode_DecodeUTF8(asked->namespace, (Py_ssize_t)asked->namespace_size - 1, NULL);
    PyObject *dispatch = name ? Py_XNewRef(PyDict_GetItemWithError(f->lanes, name)) : NULL;
    Py_XDECREF(name);
    if (PyErr_Occurred()) PyErr_Clear(); /* what is wrong is said elsewhere */
    return dispatch;
}

/* An event of a namespace that has a lane: as lane_take says. */
static int lane_of_text(SessionCore *f, WebSocketConnection *c, PyObject *dispatch, const char *data, size_t size,
                        Asked *asked)
{
    size_t digits = 2 + asked->namespace_size, start = digits;
    for (; start < size && start <= digits + MAX_DIGITS && data[start] >= '0' && data[start] <= '9';
         start++)
        asked->ack_id = asked->ack_id * 10 + (uint64_t)(data[start] - '0');
    if (start > digits + MAX_DIGITS || start == size || data[start] != '[') return 0;
    asked->wanted = start > digits;
    if (may_be_deep(data + start, size - start)) return 0;
    PyObject *text = PyBytes_FromStringAndSize(data + start, (Py_ssize_t)(size - start));
    if (!text) return -1;
    int typed = 0;
    if (size - start >= LONG && has_nothing_else_to_do(dispatch))
        typed = handle_typed(f, c, dispatch, data + start, text, asked);
    if (typed) {
        Py_DECREF(text);
        return typed;
    }
    PyObject *event = PyObject_CallOneArg(loads, text);
    Py_DECREF(text);
    if (!event) {
        if (!PyErr_ExceptionMatches(PyExc_Exception)) return -1;
        PyErr_Clear(); /* what is wrong is said elsewhere */
        return 0;
    }
    int taken = 0;
    if (is_event(dispatch, event)) {
        if (has_nothing_else_to_do(dispatch)) taken = handle(f, c, dispatch, event, asked);
        if (!taken)
            taken = hand_on(dispatch, event, asked, characters(data + start, size - start));
    }
    Py_DECREF(event);
    return taken;
}

int lane_take(SessionCore *f, WebSocketConnection *c, const char *data, size_t size)
{
    if (size < 5 || data[0] != '4' || data[1] != '2' || !loads) return 0;
    if (f->awaiting_pong || (f->observer && f->observer != Py_None)) return 0;
    Asked asked = {.namespace = data + 2};
    bool other = data[2] == '/';
    if (!other && (!f->lane || f->lane == Py_None)) return 0;
    PyObject *dispatch = other ? lane_for(f, &asked, size - 2) : Py_NewRef(f->lane);
    if (!dispatch) return 0;
    int taken = lane_of_text(f, c, dispatch, data, size, &asked);
    Py_DECREF(dispatch);
    return taken;
}

PyObject *lane_configure(PyObject *module, PyObject *args)
{
    PyObject *given[6];
    if (!PyArg_ParseTuple(args, "OOOOO!O!:configure", given, given + 1, given + 2, given + 3,
                          &PyFrozenSet_Type, given + 4, &PyType_Type, given + 5))
        return NULL;
    PyObject **kept[6] = {&loads, &dumps, &dumps_hook, &dumps_options, &reserved, &struct_type};
    for (int i = 0; i < 6; i++) Py_XSETREF(*kept[i], Py_NewRef(given[i]));
    Py_RETURN_NONE;
}

bool lane_ready(void)
{
    return (name_fit = PyUnicode_InternFromString("fit"))
        && (name_raised = PyUnicode_InternFromString("raised"))
        && (name_take = PyUnicode_InternFromString("take"))
        && (name_returned = PyUnicode_InternFromString("returned"))
        && (name_answer = PyUnicode_InternFromString("answer"))
        && (name_deliver = PyUnicode_InternFromString("deliver"));
}
