/*
 * The module, and what Python hands over to it.
 *
 * `configure(part, …)` is called once by the module of each twin: it gets everything that C reads,
 * calls or compares with, finds every slot, and raises if anything is missing. So a name that is
 * changed in Python alone is an error of the import, not a way through Python for every event.
 */
#include "native.h"

SessionConfig session_config;
WebSocketConfig websocket_config;
DispatchConfig dispatch_config;

/* ------------------------------------------------------------------------------- configure */

static const struct {
    const char *name;
    PyObject **where;
} objects[] = {
    {"loads", &dispatch_config.loads},
    {"dumps", &dispatch_config.dumps},
    {"dumps_hook", &dispatch_config.dumps_hook},
    {"dumps_options", &dispatch_config.dumps_options},
};

typedef struct {
    const char *name;
    Py_ssize_t *where;
} Number;

static const Number dispatch_numbers[] = {
    {"max_depth", &dispatch_config.max_depth},
    {"max_ack_digits", &dispatch_config.max_ack_digits},
    {"long_text", &dispatch_config.long_text},
    {"longest_name", &dispatch_config.longest_name},
    {0},
};

static const Number websocket_numbers[] = {
    {"max_fragments", &websocket_config.max_fragments},
    {0},
};

typedef struct {
    const char *class, *name;
    Slot *slot; /* NULL: a method, or an attribute that is read as Python reads it */
} Attribute;

static const Attribute dispatch_attributes[] = {
    {"Dispatch", "_busy", &dispatch_config.busy},
    {"Dispatch", "interceptors", &dispatch_config.interceptors},
    {"Dispatch", "handlers", &dispatch_config.handlers},
    {"Dispatch", "_shared", &dispatch_config.shared},
    {"Dispatch", "_recipient", &dispatch_config.recipient},
    {"Dispatch", "take", NULL},
    {"Dispatch", "raised", NULL},
    {"Dispatch", "returned", NULL},
    {"Handlers", "by_event", &dispatch_config.by_event},
    {"Handler", "direct", &dispatch_config.direct},
    {"Handler", "ack", &dispatch_config.ack},
    {"Handler", "typed", &dispatch_config.typed},
    {"Handler", "limit", &dispatch_config.limit},
    {"Handler", "required", &dispatch_config.required},
    {"Handler", "with_socket", &dispatch_config.with_socket},
    {"Handler", "call", &dispatch_config.call},
    {"Handler", "decode", &dispatch_config.decode},
    {"Handler", "fit", NULL},
    {"Socket", "answer", NULL},
    {"Socket", "deliver", NULL},
    {0},
};

static const Attribute websocket_attributes[] = {
    {"WebSocket", "on_message", NULL},
    {"WebSocket", "on_ping", NULL},
    {"WebSocket", "on_close", NULL},
    {"WebSocket", "on_violation", NULL},
    {"WebSocket", "on_writable", NULL},
    {"WebSocket", "on_lost", NULL},
    {"WebSocket", "on_error", NULL},
    {"Packet", "frames", NULL},
    {"Packet", "_frames", NULL},
    {0},
};

#define MAX_ACK_DIGITS 19 /* of a number of 64 bits */

/* What was given under a name. */
static PyObject *read_value(PyObject *values, const char *name)
{
    PyObject *value = PyMapping_GetItemString(values, name);
    if (!value && PyErr_ExceptionMatches(PyExc_KeyError))
        PyErr_Format(PyExc_TypeError, "configure needs %s", name);
    return value;
}

/* What was given under a name, which has to be of a type. */
static PyObject *read_value_of(PyObject *values, const char *name, PyTypeObject *type)
{
    PyObject *value = read_value(values, name);
    if (value && !PyObject_TypeCheck(value, type)) {
        PyErr_Format(PyExc_TypeError, "configure needs %s of the type %s", name, type->tp_name);
        Py_CLEAR(value);
    }
    return value;
}

/* Finds a slot or a method of a class. */
static int find_attribute(PyObject *class, const char *name, Slot *slot)
{
    if (!slot) return drop_result(PyObject_GetAttrString(class, name));
    int found = slot_find(slot, (PyTypeObject *)class, name);
    if (found == 0) PyErr_Format(PyExc_AttributeError, "%R has no slot %s", class, name);
    return found > 0 ? 0 : -1;
}

static int read_attributes(PyObject *values, const Attribute *attribute)
{
    for (; attribute->name; attribute++) {
        PyObject *class = read_value_of(values, attribute->class, &PyType_Type);
        int found = class ? find_attribute(class, attribute->name, attribute->slot) : -1;
        Py_XDECREF(class);
        if (found < 0) return -1;
    }
    return 0;
}

static int read_numbers(PyObject *values, const Number *number)
{
    for (; number->name; number++) {
        PyObject *value = read_value(values, number->name);
        *number->where = value ? PyLong_AsSsize_t(value) : -1;
        Py_XDECREF(value);
        if (*number->where >= 0) continue;
        if (!PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "%s < 0", number->name);
        return -1;
    }
    return 0;
}

static int read_objects(PyObject *values)
{
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        PyObject *value = read_value(values, objects[i].name);
        if (!value) return -1;
        Py_XSETREF(*objects[i].where, value);
    }
    PyObject *reserved = read_value_of(values, "reserved", &PyFrozenSet_Type);
    if (!reserved) return -1;
    Py_XSETREF(dispatch_config.reserved, reserved);
    PyObject *type = read_value_of(values, "struct_type", &PyType_Type);
    if (!type) return -1;
    Py_XSETREF(dispatch_config.struct_type, (PyTypeObject *)type);
    return 0;
}

static int configure_dispatch(PyObject *values)
{
    DispatchConfig *d = &dispatch_config;
    d->complete = false;
    if (read_attributes(values, dispatch_attributes) < 0
        || read_numbers(values, dispatch_numbers) < 0 || read_objects(values) < 0)
        return -1;
    if (d->long_text <= d->longest_name + 2 || d->max_ack_digits > MAX_ACK_DIGITS) {
        PyErr_SetString(PyExc_ValueError,
                        "long_text > longest_name + 2, and max_ack_digits fit in 64 bits");
        return -1;
    }
    d->complete = true;
    return 0;
}

static int configure_websocket(PyObject *values)
{
    if (read_attributes(values, websocket_attributes) < 0) return -1;
    return read_numbers(values, websocket_numbers);
}

static int configure_session(PyObject *values)
{
    PyObject *twin = read_value_of(values, "SessionCore", &PyType_Type);
    int checked = twin ? session_check_twin(twin) : -1;
    Py_XDECREF(twin);
    PyObject *open = checked < 0 ? NULL : read_value(values, "open");
    if (!open) return -1;
    Py_XSETREF(session_config.open, open);
    return 0;
}

static PyObject *configure(PyObject *module, PyObject *args, PyObject *values)
{
    const char *part;
    if (!PyArg_ParseTuple(args, "s:configure", &part)) return NULL;
    if (!values) return PyErr_Format(PyExc_TypeError, "configure needs the values of %s", part);
    int done = -1;
    if (strcmp(part, "session") == 0) done = configure_session(values);
    else if (strcmp(part, "dispatch") == 0) done = configure_dispatch(values);
    else if (strcmp(part, "websocket") == 0) done = configure_websocket(values);
    else PyErr_Format(PyExc_ValueError, "configure knows no part %s", part);
    if (done < 0) return NULL;
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------------------- the module */

static PyMethodDef methods[] = {
    {"configure", (PyCFunction)(void (*)(void))configure, METH_VARARGS | METH_KEYWORDS,
     "configure(part, **values): hand over what C reads, calls and compares with."},
    {"flush_all", flush_all, METH_VARARGS,
     "flush_all(sessions, failed): flush a list of sessions; failed(session, error) is told."},
    {"deliver_all", deliver_all, METH_VARARGS,
     "deliver_all(peers, packet): call `peer.deliver(packet)` for a list of peers."},
    {0},
};

static int add_types(PyObject *module)
{
    return PyModule_AddObjectRef(module, "Reactor", (PyObject *)&ReactorType) < 0
                   || PyModule_AddObjectRef(module, "WebSocketConnection",
                                            (PyObject *)&WebSocketConnectionType) < 0
                   || PyModule_AddObjectRef(module, "SessionCore", (PyObject *)&SessionCoreType) < 0
                   || PyModule_AddObjectRef(module, "Cork", (PyObject *)&CorkType) < 0
               ? -1
               : 0;
}

static int execute(PyObject *module)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "the compiled part is for the main interpreter only");
        return -1;
    }
    if (reactor_ready() < 0 || frames_ready() < 0 || websocket_output_ready() < 0
        || websocket_ready() < 0 || driver_ready() < 0 || memory_ready() < 0 || session_ready() < 0
        || answer_ready() < 0 || dispatch_ready() < 0 || add_types(module) < 0)
        return -1;
    PyObject *source = PyLong_FromUnsignedLong(TELEX_SOURCE);
    int added = source ? PyModule_AddObjectRef(module, "SOURCE", source) : -1;
    Py_XDECREF(source);
    return added;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "telex.native._telex",
    .m_doc = "The compiled part of telex.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__telex(void)
{
    return PyModuleDef_Init(&module);
}
