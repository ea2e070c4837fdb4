/*
 * Lender: a task that is lent to coroutines which may not need one.
 *
 * The first step of a coroutine runs with the task as the current one, in the task's context, so
 * that it finds everything a task of its own would give it (asyncio.timeout, context variables, …).
 * If the coroutine then ends without having suspended, the task is lent to the next; if it
 * suspends, the task becomes its own. A task that somebody has kept, cancelled, named or listened
 * to is not lent again: it ends as its coroutine has (telex/_lending.py).
 */
#include "native.h"

static PyObject *name_get_task_factory, *name_callbacks, *name_must_cancel, *name_get_name;

static void drop(Lender *l)
{
    Py_CLEAR(l->loan.task);
    Py_CLEAR(l->loan.step);
    Py_CLEAR(l->loan.context);
    Py_CLEAR(l->loan.box);
    Py_CLEAR(l->base);
    Py_CLEAR(l->name);
}

void loan_drop(Loan *loan)
{
    Py_CLEAR(loan->task);
    Py_CLEAR(loan->step);
    Py_CLEAR(loan->context);
    Py_CLEAR(loan->box);
}

/* Has a task to lend: 1, or 0, or -1. */
static int prepare(Lender *l)
{
    PyObject *factory = PyObject_CallMethodNoArgs(l->loop, name_get_task_factory);
    if (!factory) return -1;
    Py_DECREF(factory);
    if (factory != Py_None) return 0;
    if (l->loan.task) return 1;
    PyObject *made = PyObject_CallOneArg(l->spare, l->loop);
    if (!made) return -1;
    PyObject *task, *step, *context, *base, *box, *name;
    int right = PyArg_ParseTuple(made, "OOOOOO", &task, &step, &context, &base, &box, &name);
    if (right) {
        drop(l);
        l->loan = (Loan){Py_NewRef(task), Py_NewRef(step), Py_NewRef(context), Py_NewRef(box)};
        l->base = Py_NewRef(base);
        l->name = Py_NewRef(name);
    }
    Py_DECREF(made);
    if (!right) return -1;
    l->references = Py_REFCNT(l->loan.task);
    return 1;
}

static bool has_value(PyObject *object, PyObject *attribute, PyObject *expected)
{
    PyObject *value = PyObject_GetAttr(object, attribute);
    if (!value) PyErr_Clear();
    Py_XDECREF(value);
    return value == expected;
}

/* Whether a task is as it was before it was lent. */
static bool is_unchanged(Lender *l, Loan *loan)
{
    if (Py_REFCNT(loan->task) != l->references || !has_value(loan->task, name_callbacks, Py_None)
        || !has_value(loan->task, name_must_cancel, Py_False))
        return false;
    PyObject *name = PyObject_CallMethodNoArgs(loan->task, name_get_name);
    bool same = name == l->name;
    Py_XDECREF(name);
    if (same && PyObject_RichCompareBool(loan->context, l->base, Py_EQ) == 1) return true;
    PyErr_Clear();
    return false;
}

static int settle(Lender *l, Loan *loan, PyObject *value, PyObject *error)
{
    PyObject *done = PyObject_CallFunctionObjArgs(l->settle, loan->task, loan->step, loan->context,
                                                  loan->box, value ? value : Py_None,
                                                  error ? error : Py_None, NULL);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

int lend(Lender *l, PyObject *coro, PyObject **value, Loan *loan)
{
    int ready = prepare(l);
    if (ready <= 0) {
        if (ready < 0) PyErr_Clear(); /* the usual way will fail, and say why */
        return NOT_LENT;
    }
    PyObject *entered = PyObject_CallFunctionObjArgs(l->enter, l->loop, l->loan.task, NULL);
    if (!entered) { /* another task is running */
        PyErr_Clear();
        return NOT_LENT;
    }
    Py_DECREF(entered);
    *loan = l->loan;
    l->loan = (Loan){0};
    int how = PYGEN_ERROR;
    *value = NULL;
    if (PyContext_Enter(loan->context) == 0) {
        how = PyIter_Send(coro, Py_None, value);
        PyObject *error = take_error();
        PyContext_Exit(loan->context);
        set_error(error);
    }
    PyObject *error = take_error();
    PyObject *left = PyObject_CallFunctionObjArgs(l->leave, l->loop, loan->task, NULL);
    if (!left) PyErr_Clear(); /* somebody has left for it */
    Py_XDECREF(left);
    if (how == PYGEN_NEXT) return SUSPENDED;
    if (!l->loan.task && is_unchanged(l, loan)) {
        l->loan = *loan;
    } else {
        int settled = settle(l, loan, *value, error);
        loan_drop(loan);
        if (settled < 0) {
            Py_XDECREF(error);
            Py_CLEAR(*value);
            return RAISED;
        }
    }
    set_error(error);
    return how == PYGEN_RETURN ? RETURNED : RAISED;
}

static PyObject *lender_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *loop, *spare, *settle_with, *enter, *leave;
    if (!PyArg_ParseTuple(args, "OOOOO:Lender", &loop, &spare, &settle_with, &enter, &leave))
        return NULL;
    Lender *l = (Lender *)type->tp_alloc(type, 0);
    if (!l) return NULL;
    l->loop = Py_NewRef(loop);
    l->spare = Py_NewRef(spare);
    l->settle = Py_NewRef(settle_with);
    l->enter = Py_NewRef(enter);
    l->leave = Py_NewRef(leave);
    return (PyObject *)l;
}

static int lender_traverse(Lender *l, visitproc visit, void *arg)
{
    Py_VISIT(l->loop);
    Py_VISIT(l->spare);
    Py_VISIT(l->settle);
    Py_VISIT(l->enter);
    Py_VISIT(l->leave);
    Py_VISIT(l->loan.task);
    Py_VISIT(l->loan.step);
    Py_VISIT(l->loan.context);
    Py_VISIT(l->loan.box);
    Py_VISIT(l->base);
    return 0;
}

static int lender_clear(Lender *l)
{
    drop(l);
    Py_CLEAR(l->loop);
    Py_CLEAR(l->spare);
    Py_CLEAR(l->settle);
    Py_CLEAR(l->enter);
    Py_CLEAR(l->leave);
    return 0;
}

static void lender_dealloc(Lender *l)
{
    PyObject_GC_UnTrack(l);
    lender_clear(l);
    Py_TYPE(l)->tp_free((PyObject *)l);
}

PyTypeObject LenderType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "telex.native._telex.Lender",
    .tp_doc = "Lender(loop, spare, settle, enter, leave): lends a task; see telex/_lending.py.",
    .tp_basicsize = sizeof(Lender),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = lender_new,
    .tp_dealloc = (destructor)lender_dealloc,
    .tp_traverse = (traverseproc)lender_traverse,
    .tp_clear = (inquiry)lender_clear,
};

bool lender_ready(void)
{
    return (name_get_task_factory = PyUnicode_InternFromString("get_task_factory"))
        && (name_callbacks = PyUnicode_InternFromString("_callbacks"))
        && (name_must_cancel = PyUnicode_InternFromString("_must_cancel"))
        && (name_get_name = PyUnicode_InternFromString("get_name"))
        && PyType_Ready(&LenderType) == 0;
}
