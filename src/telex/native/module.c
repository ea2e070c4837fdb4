/* The module: see native.h. */
#include "native.h"

static PyMethodDef methods[] = {
    {"configure", lane_configure, METH_VARARGS,
     "configure(loads, dumps, take_apart, options, reserved, struct): what lanes decode and "
     "encode with, and the names that no event may have."},
    {"flush_all", flush_all, METH_VARARGS,
     "flush_all(sessions, failed): flush a list of sessions; failed(session, error) is told."},
    {"deliver_all", deliver_all, METH_VARARGS,
     "deliver_all(peers, packet): call `peer.deliver(packet)` for a list of peers."},
    {0},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "telex.native._telex",
    .m_doc = "The compiled part of telex.",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__telex(void)
{
    if (!channel_ready() || !flow_ready() || !lane_ready()) return NULL;
    PyObject *m = PyModule_Create(&module);
    if (!m) return NULL;
    if (PyModule_AddObjectRef(m, "Reactor", (PyObject *)&ReactorType) < 0
        || PyModule_AddObjectRef(m, "WebSocketConnection", (PyObject *)&ChannelType) < 0
        || PyModule_AddObjectRef(m, "SessionCore", (PyObject *)&FlowType) < 0
        || PyModule_AddObjectRef(m, "Cork", (PyObject *)&CorkType) < 0
        || PyModule_AddObject(m, "SOURCE", PyLong_FromUnsignedLong(TELEX_SOURCE)) < 0) {
        Py_DECREF(m);
        return NULL;
    }
    return m;
}
