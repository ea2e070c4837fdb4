/* Slots of Python objects: see native.h. */
#include "native.h"

bool slot_find(Slot *s, PyTypeObject *type)
{
    PyObject *found = PyObject_GetAttrString((PyObject *)type, s->name);
    if (!found) {
        PyErr_Clear();
        return false;
    }
    bool right = Py_IS_TYPE(found, &PyMemberDescr_Type)
                 && ((PyMemberDescrObject *)found)->d_member->type == T_OBJECT_EX;
    if (right) {
        s->offset = ((PyMemberDescrObject *)found)->d_member->offset;
        Py_XSETREF(s->type, (PyTypeObject *)Py_NewRef(type)); /* may run Python: all is in place */
    }
    Py_DECREF(found);
    return right;
}
