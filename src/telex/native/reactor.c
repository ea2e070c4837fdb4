/*
 * Reactor: reads and serves the connections of one event loop. Twins: asyncio's own transports, and
 * fronts/websocket/picows.py.
 *
 * It watches their sockets with an epoll instance of its own, which the loop watches in turn, and
 * reads into one buffer that all of them share: an idle connection has no buffer at all.
 *
 * Sockets are served in three steps: all that are ready are read, then what has come is handled,
 * then what that has caused is written. The caches of kernel and interpreter stay warm for longer,
 * and a client that has several connections is woken once for the answers on all of them.
 *
 * In one turn of the loop a socket is read once, READ_SIZE bytes at most, and FRAMES frames of it
 * are taken. A connection with more than that is *behind*: it is not read until they have been
 * taken, in turns to come.
 */
#include "native.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE (64 * 1024)
#define READ_LEAST 4096 /* with less room than this, what has been read is handled first */
#define FRAMES 256      /* of one socket, before the others have their turn */
#define LONGEST_WAIT 1000000 /* nanoseconds that an answer may wait for those of other sockets */
#define KEPT (256 * 1024)    /* the most that is kept of the buffer of answers */
#define NOT_READ (-1)
#define LEFT_OVER (-2)

static PyObject *name_flush, *name_on_writable, *name_on_lost;

/* ------------------------------------------------------------------------------- connections */
void update_interest(WebSocketConnection *c)
{
    uint32_t wanted = 0;
    if (!c->paused && !c->finishing && !c->behind) wanted |= EPOLLIN;
    if (c->output.length && !c->held) wanted |= EPOLLOUT;
    if (!c->watched || wanted == c->interest) return;
    struct epoll_event event = {.events = wanted, .data.ptr = c};
    if (epoll_ctl(c->reactor->epoll_fd, EPOLL_CTL_MOD, c->fd, &event) == 0) c->interest = wanted;
}

/* Puts a connection at the end of the list of those that are behind. As long as there is one, the
 * loop goes on polling. */
static void list_behind(WebSocketConnection *c)
{
    Reactor *r = c->reactor;
    if (c->listed || !c->watched) return;
    c->listed = true;
    c->turn = r->turn;
    c->behind_after = NULL;
    c->behind_before = r->behind_last;
    if (r->behind_last) r->behind_last->behind_after = c;
    else r->behind_first = c;
    r->behind_last = c;
    uint64_t one = 1;
    if (!r->awake) r->awake = write(r->wake_fd, &one, sizeof one) == sizeof one;
}

static void unlist_behind(WebSocketConnection *c)
{
    Reactor *r = c->reactor;
    if (!c->listed) return;
    c->listed = false;
    if (c->behind_before) c->behind_before->behind_after = c->behind_after;
    else r->behind_first = c->behind_after;
    if (c->behind_after) c->behind_after->behind_before = c->behind_before;
    else r->behind_last = c->behind_before;
    c->behind_before = c->behind_after = NULL;
}

void set_behind(WebSocketConnection *c, bool behind)
{
    if (behind && !c->paused) list_behind(c);
    else unlist_behind(c);
    if (behind == c->behind) return;
    c->behind = behind;
    update_interest(c);
}

void close_socket(WebSocketConnection *c)
{
    if (c->fd < 0) return;
    unlist_behind(c);
    if (c->watched) {
        /* Not left to close(): another descriptor of this socket may be open for a moment. */
        struct epoll_event event = {0};
        epoll_ctl(c->reactor->epoll_fd, EPOLL_CTL_DEL, c->fd, &event);
    }
    close(c->fd);
    c->fd = -1;
    c->discard_input = 1;
    bytes_drop(&c->partial);
    bytes_drop(&c->message);
    output_drop(&c->output);
    detach_answers(c);
    c->writable = 0;
    if (!c->watched) return;
    c->watched = false;
    c->reactor->count--;
    if (c->reactor->polling) {
        c->next_dead = c->reactor->dead;
        c->reactor->dead = c;
    } else {
        Py_DECREF(c);
    }
}

/* Writes what has waited for the end of a read. No answers of the connection wait afterwards,
 * whatever has failed: the place where they were is given to others. */
static int flush_session(WebSocketConnection *c)
{
    int result = 0;
    if (!is_none(c->session)) {
        PyObject *session = Py_NewRef(c->session);
        PyObject *flushed = PyObject_TypeCheck(session, &SessionCoreType)
                                ? session_flush((SessionCore *)session, NULL)
                                : PyObject_CallMethodNoArgs(session, name_flush);
        Py_DECREF(session);
        result = finish_callback(c, flushed);
    }
    if (!c->answers_length) return result;
    PyObject *error = take_error();
    if (write_answers(c) == 0) {
        set_error(error);
        return result;
    }
    Py_XDECREF(error);
    return -1;
}

/* Takes what has come behind the frames that have come before: as take_frames says. */
static Py_ssize_t take_partial(WebSocketConnection *c, int *budget, bool *corked)
{
    Bytes partial = c->partial; /* callbacks may close the connection, or feed it */
    memset(&c->partial, 0, sizeof c->partial);
    Py_ssize_t done =
        take_frames(c, partial.data + partial.start, partial.length, budget, corked);
    if (done >= 0 && c->fd >= 0 && (size_t)done < partial.length) {
        Bytes fed = c->partial;
        partial.start += (size_t)done;
        partial.length -= (size_t)done;
        c->partial = partial;
        partial = fed;
        if (fed.length && bytes_add(&c->partial, fed.data + fed.start, fed.length) < 0)
            done = report_error(c);
    }
    bytes_drop(&partial);
    return done;
}

int take_bytes(WebSocketConnection *c, unsigned char *data, size_t size)
{
    bool corked = false;
    int result = 0, budget = FRAMES;
    if (c->partial.length) {
        if (bytes_add(&c->partial, data, size) < 0) return report_error(c);
        if (take_partial(c, &budget, &corked) < 0) result = -1;
    } else {
        Py_ssize_t done = take_frames(c, data, size, &budget, &corked);
        if (done < 0) result = -1;
        else if (c->fd >= 0 && (size_t)done < size
                 && bytes_add(&c->partial, data + done, size - (size_t)done) < 0)
            result = report_error(c);
    }
    set_behind(c, budget <= 0 && c->partial.length && c->fd >= 0 && !c->finishing);
    if (!corked) return result;
    Reactor *r = c->reactor;
    if (r->polling && r->served_count < EVENTS) {
        r->served[r->served_count++] = (WebSocketConnection *)Py_NewRef((PyObject *)c);
        return result;
    }
    PyObject *error = take_error();
    if (flush_session(c) < 0) {
        Py_XDECREF(error);
        return -1;
    }
    set_error(error);
    return result;
}

/* ------------------------------------------------------------------------------- serving */

static int end_connection(WebSocketConnection *c)
{
    close_socket(c);
    return finish_callback(c, PyObject_CallMethodNoArgs((PyObject *)c, name_on_lost));
}

/* Reads from a socket; NOT_READ if it has nothing, 0 if it has ended. */
static ssize_t read_socket(WebSocketConnection *c, unsigned char *data, size_t room)
{
    ssize_t size = recv(c->fd, data, room, MSG_DONTWAIT);
    if (size >= 0) return size;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? NOT_READ : 0;
}

static int serve_socket(WebSocketConnection *c, uint32_t events, unsigned char *data, ssize_t size)
{
    if (size == LEFT_OVER) return take_bytes(c, NULL, 0);
    if (events & EPOLLOUT) {
        send_output(c);
        if (!c->output.length && c->finishing) return end_connection(c);
        update_interest(c);
        if (c->congested && c->output.length <= LOW_WATER) {
            c->congested = false;
            if (finish_callback(c, PyObject_CallMethodNoArgs((PyObject *)c, name_on_writable)) < 0)
                return -1;
            if (c->fd < 0) return 0;
        }
    }
    if (size == NOT_READ) {
        if (c->paused || c->finishing)
            return events & (EPOLLERR | EPOLLHUP) ? end_connection(c) : 0;
        if (c->behind) return 0; /* until it is not, whatever has happened since */
        if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP))) return 0;
        data = c->reactor->input; /* what was read before has been handled */
        size = read_socket(c, data, READ_SIZE);
        if (size == NOT_READ) return 0;
    }
    return size ? take_bytes(c, data, (size_t)size) : end_connection(c);
}

/* Serves a socket that is ready; `size` bytes have been read, or it is NOT_READ; LEFT_OVER if it
 * is behind, and has its turn. What is set in context variables meanwhile is not there for other
 * clients. */
static int serve_in_context(WebSocketConnection *c, uint32_t events, unsigned char *data,
                            ssize_t size)
{
    if (c->fd < 0) return 0;
    PyObject *context = PyContext_CopyCurrent();
    if (!context || PyContext_Enter(context) < 0) {
        Py_XDECREF(context);
        return report_error(c);
    }
    int result = serve_socket(c, events, data, size);
    PyObject *error = take_error();
    if (PyContext_Exit(context) < 0) PyErr_Clear();
    Py_DECREF(context);
    set_error(error);
    return result;
}

static int64_t read_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Keeps the exception that is set, unless one is kept. */
static void keep_error(PyObject **kept)
{
    PyObject *error = take_error();
    if (*kept) Py_XDECREF(error);
    else *kept = error;
}

/* Writes what the connections that have been served have to say. */
static void flush_served(Reactor *r, PyObject **error)
{
    for (int i = 0; i < r->served_count; i++) {
        WebSocketConnection *c = r->served[i];
        if (flush_session(c) < 0) keep_error(error);
        Py_DECREF(c);
    }
    r->served_count = 0;
    if (r->answers.capacity > KEPT && !r->answering) bytes_drop(&r->answers);
}

/* Those that were behind when this turn began have theirs. */
static void serve_behind(Reactor *r, PyObject **error)
{
    int64_t begun = read_clock();
    while (r->behind_first && r->behind_first->turn != r->turn) {
        WebSocketConnection *c = r->behind_first;
        unlist_behind(c);
        if (serve_in_context(c, 0, NULL, LEFT_OVER) < 0) keep_error(error);
        if (c->behind && !c->paused && c->fd >= 0) list_behind(c); /* it could not be served */
        if (read_clock() - begun > LONGEST_WAIT) break; /* many floods take no longer than one */
    }
    uint64_t count;
    if (r->awake && !r->behind_first)
        r->awake = read(r->wake_fd, &count, sizeof count) != sizeof count;
}

/* ------------------------------------------------------------------------------- the class */

static PyObject *reactor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Reactor *r = (Reactor *)type->tp_alloc(type, 0);
    if (!r) return NULL;
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    r->wake_fd = r->epoll_fd < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r->input = PyMem_Malloc(READ_SIZE);
    struct epoll_event wake = {.events = EPOLLIN, .data.ptr = NULL};
    if (r->wake_fd < 0 || epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->wake_fd, &wake) < 0)
        PyErr_SetFromErrno(PyExc_OSError);
    else if (!r->input) PyErr_NoMemory();
    else return (PyObject *)r;
    Py_DECREF(r);
    return NULL;
}

static void reactor_dealloc(Reactor *r)
{
    if (r->epoll_fd >= 0) close(r->epoll_fd);
    if (r->wake_fd >= 0) close(r->wake_fd);
    PyMem_Free(r->input);
    bytes_drop(&r->answers);
    Py_TYPE(r)->tp_free((PyObject *)r);
}

/* Lets go of the connections that were closed while events were being served. */
static void drop_dead(Reactor *r)
{
    while (r->dead) {
        WebSocketConnection *c = r->dead;
        r->dead = c->next_dead;
        c->next_dead = NULL;
        Py_DECREF(c);
    }
}

/* Reads, and handles, and reads on as soon as the buffer is full. */
static void serve_ready(Reactor *r, PyObject **error)
{
    struct epoll_event events[EVENTS];
    ssize_t sizes[EVENTS];
    int count = epoll_wait(r->epoll_fd, events, EVENTS, 0);
    int64_t begun = read_clock();
    size_t used = 0;
    for (int i = 0, next = 0; i < count; i++) {
        WebSocketConnection *c = events[i].data.ptr;
        sizes[i] = NOT_READ;
        if (c && events[i].events == EPOLLIN && c->fd >= 0 && !c->paused && !c->finishing
            && !c->behind)
            sizes[i] = read_socket(c, r->input + used, READ_SIZE - used);
        if (sizes[i] > 0) used += (size_t)sizes[i];
        if (i + 1 < count && READ_SIZE - used >= READ_LEAST && sizes[i] != NOT_READ) continue;
        unsigned char *data = r->input;
        for (; next <= i; next++) {
            if (!events[next].data.ptr) continue; /* `wake_fd`: see serve_behind */
            if (serve_in_context(events[next].data.ptr, events[next].events, data, sizes[next]) < 0)
                keep_error(error);
            if (sizes[next] > 0) data += sizes[next];
            if (r->served_count && read_clock() - begun > LONGEST_WAIT) {
                flush_served(r, error);
                begun = read_clock();
            }
        }
        used = 0;
    }
}

static PyObject *reactor_poll(Reactor *r, PyObject *unused)
{
    if (r->polling) Py_RETURN_NONE;
    PyObject *error = NULL;
    r->polling = true;
    r->turn++;
    serve_ready(r, &error);
    serve_behind(r, &error);
    flush_served(r, &error);
    r->polling = false;
    drop_dead(r);
    if (error) {
        set_error(error);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *reactor_fileno(Reactor *r, PyObject *unused)
{
    return PyLong_FromLong(r->epoll_fd);
}

static PyMethodDef reactor_methods[] = {
    {"fileno", (PyCFunction)reactor_fileno, METH_NOARGS, "What the loop is to watch."},
    {"poll", (PyCFunction)reactor_poll, METH_NOARGS, "Serve the connections that are ready."},
    {0},
};

static PyMemberDef reactor_members[] = {
    {"count", T_PYSSIZET, offsetof(Reactor, count), READONLY, "How many connections are watched."},
    {0},
};

PyTypeObject ReactorType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "telex.native._telex.Reactor",
    .tp_doc = "Watches the sockets of the connections of one event loop.",
    .tp_basicsize = sizeof(Reactor),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = reactor_new,
    .tp_dealloc = (destructor)reactor_dealloc,
    .tp_methods = reactor_methods,
    .tp_members = reactor_members,
};

int reactor_ready(void)
{
    if (!name_flush && !(name_flush = PyUnicode_InternFromString("flush"))) return -1;
    if (!name_on_writable && !(name_on_writable = PyUnicode_InternFromString("on_writable")))
        return -1;
    if (!name_on_lost && !(name_on_lost = PyUnicode_InternFromString("on_lost"))) return -1;
    return PyType_Ready(&ReactorType);
}
