/*
 * What the files of the compiled part share. Everything runs in the thread of one loop, with the
 * GIL held.
 *
 *     channel.c   Reactor, WebSocketConnection: the frames of WebSockets on sockets of our own
 *     output.c    what a client has not taken yet
 *     flow.c      SessionCore, Cork: what passes a session, and what waits for the end of a turn
 *     lane.c      the usual event, from its text to its answer
 *     slot.c      slots of Python objects
 *
 * Each is a second form of something that telex also has in Python (named at its beginning), and
 * only does what is usual: whatever else may be the case is left to a method in Python.
 */
#ifndef TELEX_NATIVE_H
#define TELEX_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes in a buffer that exists only while there are any. */
typedef struct {
    unsigned char *data;
    size_t start, length, capacity;
} Bytes;

bool bytes_add(Bytes *b, const void *data, size_t size);
void bytes_drop(Bytes *b);

/* ------------------------------------------------------------------------------- output.c */

/* The rest of a bytes object that others may hold, too, or bytes of our own. */
typedef struct {
    PyObject *shared;
    size_t start; /* of the rest of what is shared */
    Bytes own;
} Piece;

/* What waits for a client. */
typedef struct {
    Piece *pieces;
    size_t first, count, capacity;
    size_t length; /* in bytes */
} Output;

/* Both set MemoryError if they return false; nothing has changed then. */
bool output_copy(Output *o, const void *data, size_t size);
bool output_share(Output *o, PyObject *bytes, size_t start);

/* Sends as much as the client takes; false if the connection is lost. */
bool output_send(Output *o, int fd);
void output_drop(Output *o);

/* ------------------------------------------------------------------------------- channel.c */

typedef struct channel WebSocketConnection;

typedef struct {
    PyObject_HEAD
    int epoll_fd;
    int wake_fd; /* keeps `epoll_fd` readable as long as some channels are behind */
    bool awake;
    bool polling;
    unsigned turn;
    Py_ssize_t count;
    WebSocketConnection *behind_first, *behind_last; /* have frames that are for a later turn */
    WebSocketConnection *dead;    /* closed while events were being served, which may still name them */
    WebSocketConnection **served; /* have read something, and are flushed when all have */
    int served_count;
    unsigned char *input;
    Bytes answers;    /* frames that leave with the next flush of their channel */
    size_t answering; /* so many channels have some there */
} Reactor;

struct channel {
    PyObject_HEAD
    Reactor *reactor;
    PyObject *session; /* gets messages without a detour; NULL or None: on_message does */
    PyObject *frames;  /* from a packet to its frames; None: those that it keeps */
    WebSocketConnection *next_dead;
    WebSocketConnection *behind_before, *behind_after; /* neighbours among those of the reactor */
    Bytes partial; /* a frame that has not come completely; if `behind`, frames before it */
    Bytes message; /* the fragments of a message */
    Output output;
    size_t answers_start, answers_length; /* of this channel, in those of the reactor */
    uint64_t skip;                        /* so many bytes belong to a frame that nobody wants */
    uint64_t max_size;
    uint32_t fragments;
    uint32_t interest;
    unsigned turn; /* in which it has fallen behind */
    int fd;
    uint8_t kind;  /* of the message in fragments; 0: there is none */
    char deaf;     /* only a close frame counts */
    char writable; /* for the session: the client reads as fast as we write */
    bool watched;  /* by the reactor, which owns a reference */
    bool held;     /* output waits for the first write */
    bool paused;
    bool behind; /* it is not read: frames that have come are for a later turn */
    bool listed; /* among the reactor's that are behind */
    bool congested;
    bool finishing; /* closed as soon as everything has been written */
};

extern PyTypeObject ReactorType, ChannelType;

bool channel_ready(void);

/* Whether `add_answer` may be called: what it adds leaves before what is sent later. */
bool takes_answers(const WebSocketConnection *c);

/* Adds a text frame whose payload is in two pieces. */
int add_answer(WebSocketConnection *c, const char *head, size_t head_size, const char *tail, size_t tail_size);

/* Writes a batch of packets: `first`, and what is in the list `rest`, which may be NULL. */
int channel_send_packets(WebSocketConnection *c, PyObject *first, PyObject *rest);

/* ------------------------------------------------------------------------------- flow.c */

typedef struct {
    PyObject_HEAD
    PyObject *state;
    PyObject *transport;
    PyObject *observer;
    PyObject *on_message;
    PyObject *on_drain;
    PyObject *cork;
    PyObject *lane;  /* takes the usual events of `/`; see lane.c */
    PyObject *lanes; /* by namespace, those of the others; None: there are none */
    PyObject *drain_callbacks;
    PyObject *first, *rest; /* packets that wait: one, and a list of those behind it */
    Py_ssize_t queued, limit;
    char corked, awaiting_pong, ping_extended, behind, binary_prefix;
} SessionCore;

extern PyTypeObject FlowType, CorkType;
extern PyObject *open_state; /* the state of a session that is open */

bool flow_ready(void);
PyObject *flow_receive(SessionCore *f, PyObject *data);
PyObject *flow_send(SessionCore *f, PyObject *packet);
PyObject *flow_flush(SessionCore *f, PyObject *unused);

/* Whether something to deliver packets with is the method `send` of a SessionCore. */
bool is_send(PyObject *deliver);


PyObject *flush_all(PyObject *module, PyObject *args);
PyObject *deliver_all(PyObject *module, PyObject *args);

/* ------------------------------------------------------------------------------- slot.c */

/* A slot of a Python class, read without a detour. */
typedef struct {
    const char *name;
    PyTypeObject *type; /* of which `offset` is right; lives as long as the process */
    Py_ssize_t offset;
} Slot;

bool slot_find(Slot *s, PyTypeObject *type);

/* Where a slot of an object is; NULL if it has no such slot. A type that is new here is asked, which
 * may run Python: whoever holds borrowed references meanwhile may lose them. */
static inline PyObject **slot_place(Slot *s, PyObject *object)
{
    if (!Py_IS_TYPE(object, s->type) && !slot_find(s, Py_TYPE(object))) return NULL;
    return (PyObject **)((char *)object + s->offset);
}

/* What is in a slot, a borrowed reference; NULL if the object has no such slot. */
static inline PyObject *slot_get(Slot *s, PyObject *object)
{
    PyObject **place = slot_place(s, object);
    return place ? *place : NULL;
}

/* ------------------------------------------------------------------------------- lane.c */

bool lane_ready(void);

/* A text message of an open session that has a lane: 1 if it was an event that has been handled
 * here, 0 if it is for others, -1 if an exception is set. */
int lane_take(SessionCore *f, WebSocketConnection *c, const char *data, size_t size);

PyObject *lane_configure(PyObject *module, PyObject *args);

/* ------------------------------------------------------------------------------- errors */

/* The exception that is set, if there is one; then none is set any more. */
PyObject *take_error(void);

/* Sets what take_error has given. */
void set_error(PyObject *error);

#endif
