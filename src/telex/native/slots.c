/* Slots of Python objects: see native.h. Its twin is `object.attribute` in Python. */
#include "native.h"

int slot_find(Slot *slot, PyTypeObject *type, const char *name)
{
    PyObject *found = PyObject_GetAttrString((PyObject *)type, name);
    if (!found) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return -1;
        PyErr_Clear();
        return 0;
    }
    /* A descriptor of another class may stand in a class; it says nothing about these objects. */
    bool right = Py_IS_TYPE(found, &PyMemberDescr_Type)
                 && PyType_IsSubtype(type, PyDescr_TYPE(found))
                 && ((PyMemberDescrObject *)found)->d_member->type == T_OBJECT_EX;
    if (right) {
        slot->offset = ((PyMemberDescrObject *)found)->d_member->offset;
        /* May run Python: all is in place. */
        Py_XSETREF(slot->type, (PyTypeObject *)Py_NewRef(type));
    }
    Py_DECREF(found);
    return right;
}
