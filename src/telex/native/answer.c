/*
 * The acknowledgement of an event. Twins: `answer` in events/answering.py, and TextParser.encode in
 * parser/default.py.
 */
#include "native.h"

static PyObject *name_answer, *name_deliver;

/* Whether an answer may go straight to the connection: nothing that was sent before waits. */
static bool is_direct(const SessionCore *f, const WebSocketConnection *c)
{
    return c && !f->first && f->state == session_config.open && f->transport == (PyObject *)c
           && is_none(f->observer) && is_none(f->on_drain) && can_add_answer(c);
}

/* Whether the socket of an event delivers to this session, and to nothing in between. */
static int delivers_to(PyObject *socket, const SessionCore *f)
{
    PyObject *deliver = PyObject_GetAttr(socket, name_deliver);
    if (!deliver) return decline_error();
    bool same = is_session_send(deliver) && PyCFunction_GET_SELF(deliver) == (PyObject *)f;
    Py_DECREF(deliver);
    return same;
}

static size_t write_digits(char *end, uint64_t number)
{
    char *p = end;
    do *--p = (char)('0' + number % 10);
    while (number /= 10);
    return (size_t)(end - p);
}

/* The JSON of an answer: 1, 0 if Python has to encode it, -1. */
static int encode_result(PyObject *result, PyObject **text)
{
    if (result == Py_None) return (*text = PyBytes_FromStringAndSize("[]", 2)) ? 1 : -1;
    PyObject *values = PyTuple_CheckExact(result) ? PySequence_List(result) : PyList_New(1);
    if (!values) return -1;
    if (!PyTuple_CheckExact(result)) PyList_SET_ITEM(values, 0, Py_NewRef(result));
    const DispatchConfig *config = &dispatch_config;
    PyObject *args[4] = {NULL, values, config->dumps_hook, config->dumps_options};
    *text = PyObject_Vectorcall(config->dumps, args + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(values);
    if (!*text) return decline_error();
    if (PyBytes_CheckExact(*text)) return 1;
    Py_CLEAR(*text);
    return 0;
}

static int add_text_answer(WebSocketConnection *c, const EventHeader *header, PyObject *text)
{
    char head[2 + MAX_NAMESPACE + 20], *end = head + sizeof head;
    size_t size = write_digits(end, header->ack_id) + header->namespace_size;
    memcpy(end - size, header->namespace, header->namespace_size);
    *(end - ++size) = '3';
    *(end - ++size) = '4';
    return add_answer(c, end - size, size, PyBytes_AS_STRING(text),
                      (size_t)PyBytes_GET_SIZE(text));
}

/* Answers without a packet: 1, 0 if that is not possible, -1. */
static int answer_directly(SessionCore *f, WebSocketConnection *c, PyObject *socket,
                           const EventHeader *header, PyObject *result)
{
    if (!is_direct(f, c)) return 0;
    int direct = delivers_to(socket, f);
    if (direct <= 0) return direct;
    PyObject *text = NULL;
    int encoded = encode_result(result, &text);
    if (encoded <= 0) return encoded;
    int done = 0; /* encoding may have run Python, which may have sent something */
    if (is_direct(f, c)) done = add_text_answer(c, header, text) < 0 ? -1 : 1;
    Py_DECREF(text);
    return done;
}

PyObject *make_ack_id(const EventHeader *header)
{
    return header->ack_wanted ? PyLong_FromUnsignedLongLong(header->ack_id) : Py_NewRef(Py_None);
}

int answer_event(SessionCore *f, WebSocketConnection *c, PyObject *socket,
                 const EventHeader *header, PyObject *result)
{
    int answered = answer_directly(f, c, socket, header, result);
    if (answered) return answered < 0 ? -1 : 0;
    PyObject *id = make_ack_id(header);
    if (!id) return -1;
    PyObject *args[3] = {socket, id, result};
    PyObject *sent =
        PyObject_VectorcallMethod(name_answer, args, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(id);
    return drop_result(sent);
}

int answer_ready(void)
{
    if (!name_answer && !(name_answer = PyUnicode_InternFromString("answer"))) return -1;
    if (!name_deliver && !(name_deliver = PyUnicode_InternFromString("deliver"))) return -1;
    return 0;
}
