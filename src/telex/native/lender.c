/*
 * Lender: a task that is lent to coroutines which may not need one.
 *
 * The first step of a coroutine runs with the task as the current one, in the task's context, so
 * that it finds everything a task of its own would give it (asyncio.timeout, context variables, …).
 * If the coroutine then ends without having suspended, the task is lent to the next. If it
 * suspends, the task becomes its own; so does one that somebody has kept, cancelled, named,
 * listened to or written on, or whose context has changed (telex/_lending.py).
 */
#include "native.h"

static PyObject *name_get_task_factory, *name_callbacks, *name_must_cancel, *name_get_name,
    *name_suspended;

void loan_drop(Loan *loan)
{
    Py_CLEAR(loan->task);
    Py_CLEAR(loan->step);
    Py_CLEAR(loan->context);
    Py_CLEAR(loan->box);
}

static void drop(Lender *l)
{
    Py_CLEAR(l->key); /* before the task: one that has never been lent has a key without a hash */
    loan_drop(&l->loan);
    Py_CLEAR(l->base);
    Py_CLEAR(l->name);
    Py_CLEAR(l->attributes);
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
    PyObject *task, *step, *context, *box, *base, *name, *key, *attributes = NULL;
    int right = PyArg_ParseTuple(made, "OOOOO!OO", &task, &step, &context, &box, &PyTuple_Type,
                                 &base, &name, &key);
    if (right) attributes = PyObject_GenericGetDict(task, NULL);
    if (attributes) {
        drop(l);
        l->loan = (Loan){Py_NewRef(task), Py_NewRef(step), Py_NewRef(context), Py_NewRef(box)};
        l->base = Py_NewRef(base);
        l->name = Py_NewRef(name);
        l->attributes = attributes;
        l->key = Py_NewRef(key);
    }
    Py_DECREF(made);
    if (!attributes) return -1;
    l->task_references = Py_REFCNT(l->loan.task);
    l->context_references = Py_REFCNT(l->loan.context);
    return 1;
}

static bool has_value(PyObject *object, PyObject *attribute, PyObject *expected)
{
    PyObject *value = PyObject_GetAttr(object, attribute);
    if (!value) PyErr_Clear();
    Py_XDECREF(value);
    return value == expected;
}

/* Whether nobody has a weak reference to the task, but for the one that asyncio may need. */
static bool is_unobserved(Lender *l, PyObject *task)
{
    Py_ssize_t offset = Py_TYPE(task)->tp_weaklistoffset;
    PyWeakReference *weak = offset ? *(PyWeakReference **)((char *)task + offset) : NULL;
    return !weak || ((PyObject *)weak == l->key && !weak->wr_next);
}

/* Whether the variables of a context have the very values that they had. */
static bool has_base(Lender *l, PyObject *context)
{
    Py_ssize_t count = PyTuple_GET_SIZE(l->base);
    if (PyObject_Size(context) != count) return false;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *pair = PyTuple_GET_ITEM(l->base, i);
        PyObject *value = PyObject_GetItem(context, PyTuple_GET_ITEM(pair, 0));
        if (!value) PyErr_Clear();
        Py_XDECREF(value);
        if (value != PyTuple_GET_ITEM(pair, 1)) return false;
    }
    return true;
}

/* Whether a task is as it was before it was lent. */
static bool is_unchanged(Lender *l, Loan *loan)
{
    if (Py_REFCNT(loan->task) != l->task_references
        || Py_REFCNT(loan->context) != l->context_references || PyDict_GET_SIZE(l->attributes) != 0
        || !is_unobserved(l, loan->task) || !has_value(loan->task, name_callbacks, Py_None)
        || !has_value(loan->task, name_must_cancel, Py_False))
        return false;
    PyObject *name = PyObject_CallMethodNoArgs(loan->task, name_get_name);
    if (!name) PyErr_Clear();
    Py_XDECREF(name);
    return name == l->name && has_base(l, loan->context);
}

/* Says who is running now, or no more; what fails is not said. */
static void say(PyObject *function, PyObject *loop, PyObject *task)
{
    PyObject *args[2] = {loop, task}, *done;
    done = loop ? PyObject_Vectorcall(function, args, 2, NULL) : PyObject_CallOneArg(function, task);
    if (!done) PyErr_Clear();
    Py_XDECREF(done);
}

int lend(Lender *l, PyObject *coro, PyObject **value, Loan *loan)
{
    int ready = prepare(l);
    if (ready <= 0) {
        if (ready < 0) PyErr_Clear(); /* the usual way will fail, and say why */
        return NOT_LENT;
    }
    if (!has_value(coro, name_suspended, Py_False)) return NOT_LENT; /* somebody else has begun it */
    PyObject *current[2] = {l->loop, l->loan.task};
    PyObject *entered = PyObject_Vectorcall(l->enter, current, 2, NULL);
    if (!entered) { /* another task is running */
        PyErr_Clear();
        return NOT_LENT;
    }
    Py_DECREF(entered);
    *loan = l->loan;
    l->loan = (Loan){0};
    PyObject *key = Py_NewRef(l->key);
    say(l->add, NULL, key);
    int how = PYGEN_ERROR;
    *value = NULL;
    if (PyContext_Enter(loan->context) == 0) {
        how = PyIter_Send(coro, Py_None, value);
        PyObject *error = take_error();
        PyContext_Exit(loan->context);
        set_error(error);
    }
    PyObject *error = take_error();
    say(l->remove, NULL, key);
    say(l->leave, l->loop, loan->task);
    bool known = l->key == key; /* it has lent no other meanwhile */
    Py_DECREF(key);
    if (!l->loan.task) {
        if (how != PYGEN_NEXT && known && is_unchanged(l, loan)) {
            l->loan = *loan;
            *loan = (Loan){0};
        } else {
            drop(l);
        }
    }
    if (how == PYGEN_NEXT) return SUSPENDED;
    set_error(error);
    return how == PYGEN_RETURN ? RETURNED : RAISED;
}

/* begin(coro): None if that is over and nobody knows its task; what it returned is forgotten, what
 * it raised is raised. Otherwise a tuple: whether it has suspended, what it waits for or has
 * returned, its error, and the task, which is the caller's. An empty one: nothing has been done. */
static PyObject *lender_begin(Lender *l, PyObject *coro)
{
    PyObject *value;
    Loan loan;
    int how = lend(l, coro, &value, &loan);
    if (how == NOT_LENT) return PyTuple_New(0);
    PyObject *begun = NULL;
    if (loan.task) {
        PyObject *error = how == RAISED ? take_error() : NULL;
        begun = PyTuple_Pack(7, how == SUSPENDED ? Py_True : Py_False, value ? value : Py_None,
                             error ? error : Py_None, loan.task, loan.step, loan.context, loan.box);
        Py_XDECREF(error);
        loan_drop(&loan);
    } else if (how == RETURNED) {
        begun = Py_NewRef(Py_None);
    }
    Py_XDECREF(value);
    return begun;
}

static PyMethodDef lender_methods[] = {
    {"begin", (PyCFunction)lender_begin, METH_O, "begin(coro): see telex/_lending.py."},
    {NULL},
};

static PyObject *lender_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *loop, *spare, *enter, *leave, *add, *remove;
    if (!PyArg_ParseTuple(args, "OOOOOO:Lender", &loop, &spare, &enter, &leave, &add, &remove))
        return NULL;
    Lender *l = (Lender *)type->tp_alloc(type, 0);
    if (!l) return NULL;
    l->loop = Py_NewRef(loop);
    l->spare = Py_NewRef(spare);
    l->enter = Py_NewRef(enter);
    l->leave = Py_NewRef(leave);
    l->add = Py_NewRef(add);
    l->remove = Py_NewRef(remove);
    return (PyObject *)l;
}

static int lender_traverse(Lender *l, visitproc visit, void *arg)
{
    Py_VISIT(l->loop);
    Py_VISIT(l->spare);
    Py_VISIT(l->enter);
    Py_VISIT(l->leave);
    Py_VISIT(l->add);
    Py_VISIT(l->remove);
    Py_VISIT(l->loan.task);
    Py_VISIT(l->loan.step);
    Py_VISIT(l->loan.context);
    Py_VISIT(l->loan.box);
    Py_VISIT(l->base);
    Py_VISIT(l->attributes);
    Py_VISIT(l->key);
    return 0;
}

static int lender_clear(Lender *l)
{
    drop(l);
    Py_CLEAR(l->loop);
    Py_CLEAR(l->spare);
    Py_CLEAR(l->enter);
    Py_CLEAR(l->leave);
    Py_CLEAR(l->add);
    Py_CLEAR(l->remove);
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
    .tp_doc = "Lender(loop, spare, enter, leave, add, remove): lends a task; see telex/_lending.py.",
    .tp_basicsize = sizeof(Lender),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = lender_new,
    .tp_methods = lender_methods,
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
        && (name_suspended = PyUnicode_InternFromString("cr_suspended"))
        && PyType_Ready(&LenderType) == 0;
}
