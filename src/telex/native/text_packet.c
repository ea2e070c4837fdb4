/*
 * The text of an event, taken apart. Twins: TextDecoder.receive in parser/default.py, and `receive`
 * in server/connection.py.
 *
 * Only JSON without attachments is taken, and only where a session says so: its `fast_dispatch` is
 * the Dispatch of a connected socket of `/`, and the dictionary `fast_dispatches` has those of
 * other namespaces. Everything else is left to Python, before anything has happened.
 */
#include "native.h"

static const DispatchConfig *const config = &dispatch_config;

static bool may_be_deep(const char *data, size_t size)
{
    size_t most = (size_t)config->max_depth, brackets = 0;
    if (size <= most) return false;
    for (size_t i = 0; i < size; i++) brackets += data[i] == '[' || data[i] == '{';
    return brackets > most;
}

/* The number of characters of UTF-8. */
static size_t count_characters(const char *data, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) count += ((unsigned char)data[i] & 0xc0) != 0x80;
    return count;
}

/* The Dispatch of the namespace that a packet begins with. */
static int find_dispatch(SessionCore *f, EventHeader *header, size_t size, PyObject **dispatch)
{
    *dispatch = NULL;
    if (!f->fast_dispatches || !PyDict_CheckExact(f->fast_dispatches)) return 0;
    if (size > MAX_NAMESPACE) size = MAX_NAMESPACE;
    const char *comma = memchr(header->namespace, ',', size);
    if (!comma) return 0;
    header->namespace_size = (size_t)(comma - header->namespace) + 1;
    PyObject *name =
        PyUnicode_DecodeUTF8(header->namespace, (Py_ssize_t)header->namespace_size - 1, NULL);
    if (!name) return decline_error();
    PyObject *by_name = Py_XNewRef(f->fast_dispatches);
    if (by_name && PyDict_CheckExact(by_name))
        *dispatch = Py_XNewRef(PyDict_GetItemWithError(by_name, name));
    Py_XDECREF(by_name);
    Py_DECREF(name);
    return *dispatch ? 1 : decline_error();
}

/* Reads the id and finds the payload: how many bytes are before it; 0 if this is for Python. */
static size_t read_header(EventHeader *header, const char *data, size_t size)
{
    size_t digits = 2 + header->namespace_size, start = digits;
    size_t most = digits + (size_t)config->max_ack_digits;
    for (; start < size && start <= most && data[start] >= '0' && data[start] <= '9'; start++)
        header->ack_id = header->ack_id * 10 + (uint64_t)(data[start] - '0');
    if (start > most || start == size || data[start] != '[') return 0;
    header->ack_wanted = start > digits;
    return start;
}

/* Handles a payload that has been decoded: 1, 0 or -1. */
static int take_event(SessionCore *f, WebSocketConnection *c, PyObject *dispatch, PyObject *event,
                      const EventHeader *header, const char *data, size_t size)
{
    int right = is_event(dispatch, event);
    if (right <= 0) return right;
    int taken = is_idle(dispatch) ? handle_event(f, c, dispatch, event, header) : 0;
    return taken ? taken : hand_on_event(dispatch, event, header, count_characters(data, size));
}

/* Handles an event of a namespace whose Dispatch is known: 1, 0 or -1. */
static int take_payload(SessionCore *f, WebSocketConnection *c, PyObject *dispatch,
                        const char *data, size_t size, EventHeader *header)
{
    size_t start = read_header(header, data, size);
    if (!start) return 0;
    data += start;
    size -= start;
    if (may_be_deep(data, size)) return 0;
    PyObject *text = PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
    if (!text) return -1;
    int taken = 0;
    if (size >= (size_t)config->long_text && is_idle(dispatch))
        taken = handle_typed_event(f, c, dispatch, data, text, header);
    PyObject *event = taken ? NULL : PyObject_CallOneArg(config->loads, text);
    Py_DECREF(text);
    if (taken) return taken;
    if (!event) return decline_error(); /* what is wrong is said in Python */
    taken = take_event(f, c, dispatch, event, header, data, size);
    Py_DECREF(event);
    return taken;
}

int take_text_packet(SessionCore *f, WebSocketConnection *c, const char *data, size_t size)
{
    if (size < 5 || data[0] != '4' || data[1] != '2' || !config->complete) return 0;
    if (f->awaiting_pong || !is_none(f->observer)) return 0;
    EventHeader header = {.namespace = data + 2};
    PyObject *dispatch = NULL;
    if (data[2] == '/') {
        int found = find_dispatch(f, &header, size - 2, &dispatch);
        if (found <= 0) return found;
    } else if (!is_none(f->fast_dispatch)) {
        dispatch = Py_NewRef(f->fast_dispatch);
    } else {
        return 0;
    }
    int taken = take_payload(f, c, dispatch, data, size, &header);
    Py_DECREF(dispatch);
    return taken;
}
