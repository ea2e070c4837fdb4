/*
 * What the files of the compiled part share. Each file is the twin of a file in Python, which it
 * names at its top; the twin is what runs where nothing is compiled.
 *
 *     module.c            the module, and what Python hands over to it (configure)
 *     errors.c            exceptions that have to wait
 *     slots.c             slots of Python objects
 *     bytes.c             a buffer that grows
 *     output.c            what a client has not taken yet
 *     websocket_output.c  frames on their way to a client
 *     frames.c            frames that come from a client
 *     websocket.c         WebSocketConnection
 *     reactor.c           Reactor: reads and serves the connections of one event loop
 *     session_core.c      SessionCore: packets in and out of a session
 *     driver.c            Cork, flush_all: what waits for the end of a loop's turn
 *     memory.c            deliver_all: one packet for many sockets
 *     dispatch.c          an event's handler, found and called
 *     answer.c            the acknowledgement of an event
 *     text_packet.c       the text of an event, taken apart
 *
 * C does what happens often. Whatever else may be the case is left to a method in Python, before
 * anything has happened.
 *
 * Errors
 *
 *     PyObject *   a new reference; NULL: an exception is set
 *     int          0 or more: done; -1: an exception is set
 *     bool, void,  no exception is set
 *     numbers
 *     find_…       int: 1: found, a new reference in the last argument; 0: there is none; -1
 *     slot_get     a borrowed reference; NULL: there is none, no exception
 *
 * No function is called while an exception is set. One that has to wait is taken (take_error) and
 * set again (set_error). `decline_error` forgets an exception where Python will meet the same cause
 * again and report it.
 *
 * References
 *
 * Python may run wherever an object is called, an attribute is read, memory for an object of the
 * garbage collector is allocated, or a reference is given up. What is used after that is held
 * (Py_NewRef), and sizes are read again.
 *
 * Threads and interpreters
 *
 * Everything runs in the thread of one event loop with the GIL held; two loops in two threads share
 * nothing but what `configure` was given. State is kept in static variables, so only the main
 * interpreter can import the module; a sub-interpreter uses the forms in Python. The module is not
 * compiled for free-threaded Python, where importing it would switch the GIL on for the process.
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

#ifdef Py_GIL_DISABLED
#error "The compiled part of telex needs a Python with a GIL."
#endif

/* ------------------------------------------------------------------------------- errors.c */

/* The exception that is set, or NULL; afterwards none is set. */
PyObject *take_error(void);

/* Sets what take_error has given; NULL sets nothing. */
void set_error(PyObject *error);

/* Forgets an Exception; -1 if one is set that is no Exception (KeyboardInterrupt, SystemExit). */
int decline_error(void);

/* Finishes a call whose result does not matter: 0, or -1 if it is NULL. */
static inline int drop_result(PyObject *result)
{
    Py_XDECREF(result);
    return result ? 0 : -1;
}

/* Whether an attribute has not been set, or is None. */
static inline bool is_none(PyObject *value)
{
    return !value || value == Py_None;
}

/* ------------------------------------------------------------------------------- slots.c */

/* A slot of a Python class, read without a call. */
typedef struct {
    PyTypeObject *type; /* `offset` is right for it and its subclasses; it is never freed */
    Py_ssize_t offset;
} Slot;

/* Finds a slot of a class: 1, 0 if the name is no slot there, -1. May run Python. */
int slot_find(Slot *slot, PyTypeObject *type, const char *name);

/* What is in a slot; never runs Python. */
static inline PyObject *slot_get(const Slot *slot, PyObject *object)
{
    if (!Py_IS_TYPE(object, slot->type) && !PyType_IsSubtype(Py_TYPE(object), slot->type))
        return NULL;
    return *(PyObject **)((char *)object + slot->offset);
}

/* ------------------------------------------------------------------------------- module.c */

/* What Python has handed over with configure("session", …). */
typedef struct {
    PyObject *open; /* the state of a session that is open */
} SessionConfig;

/* What Python has handed over with configure("dispatch", …). */
typedef struct {
    PyObject *loads, *dumps, *dumps_hook, *dumps_options; /* JSON */
    PyObject *reserved;                                   /* names that no event may have */
    PyTypeObject *struct_type;                            /* its instances are sent as they are */
    Py_ssize_t max_depth, max_ack_digits, long_text, longest_name;
    Slot busy, interceptors, handlers, shared, recipient;                /* of Dispatch */
    Slot by_event;                                                       /* of Handlers */
    Slot direct, ack, typed, limit, required, with_socket, call, decode; /* of Handler */
    bool complete; /* everything above is there */
} DispatchConfig;

/* What Python has handed over with configure("websocket", …). */
typedef struct {
    Py_ssize_t max_fragments; /* of one message */
} WebSocketConfig;

extern SessionConfig session_config;
extern WebSocketConfig websocket_config;
extern DispatchConfig dispatch_config;

/* ------------------------------------------------------------------------------- bytes.c */

/* Bytes in a buffer that exists only while there are any. */
typedef struct {
    unsigned char *data;
    size_t start, length, capacity;
} Bytes;

int bytes_add(Bytes *b, const void *data, size_t size);
void bytes_drop(Bytes *b);

/* ------------------------------------------------------------------------------- output.c */

/* The rest of a bytes object that others may hold, too, or bytes of its own. */
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

/* If they fail, nothing has changed. */
int output_copy(Output *o, const void *data, size_t size);
int output_share(Output *o, PyObject *bytes, size_t start);

/* Sends as much as the client takes; false if the connection is lost. */
bool output_send(Output *o, int fd);
void output_drop(Output *o);

/* ------------------------------------------------------------------------------- WebSockets */

typedef struct websocket WebSocketConnection;

#define EVENTS 64          /* sockets that are served before the loop has its turn again */
#define HIGH_WATER 65536   /* bytes that wait; with more, the session is told to wait */
#define LOW_WATER 16384    /* with no more than these, it is told to go on */

typedef struct {
    PyObject_HEAD
    int epoll_fd;
    int wake_fd; /* keeps `epoll_fd` readable as long as some connections are behind */
    bool awake;
    bool polling;
    unsigned turn;
    Py_ssize_t count;
    WebSocketConnection *behind_first, *behind_last; /* have frames that are for a later turn */
    WebSocketConnection *dead; /* closed while events that may name them were being served */
    WebSocketConnection *served[EVENTS]; /* have read something, and are flushed when all have */
    int served_count;
    unsigned char *input;
    Bytes answers;    /* frames that leave with the next flush of their connection */
    size_t answering; /* so many connections have some there */
} Reactor;

struct websocket {
    PyObject_HEAD
    Reactor *reactor;
    PyObject *session; /* gets messages without a call; NULL or None: on_message does */
    PyObject *frames;  /* from a packet to its frames; None: those that it keeps */
    WebSocketConnection *next_dead;
    WebSocketConnection *behind_before, *behind_after; /* neighbours among those of the reactor */
    Bytes partial; /* a frame that has not come completely; if `behind`, frames before it */
    Bytes message; /* the fragments of a message */
    Output output;
    size_t answers_start, answers_length; /* of this connection, in those of the reactor */
    uint64_t skip;                        /* so many bytes belong to a frame that is discarded */
    uint64_t max_size;
    Py_ssize_t fragments;
    uint32_t interest;
    unsigned turn; /* in which it has fallen behind */
    int fd;
    uint8_t kind;       /* of the message in fragments; 0: there is none */
    char discard_input; /* all but a close frame */
    char writable;      /* for the session: the client reads as fast as the server writes */
    bool watched;       /* by the reactor, which owns a reference */
    bool held;          /* output waits for the first write */
    bool paused;
    bool behind; /* it is not read: frames that have come are for a later turn */
    bool listed; /* among the reactor's that are behind */
    bool congested;
    bool finishing; /* closed as soon as everything has been written */
};

enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

extern PyTypeObject ReactorType, WebSocketConnectionType;

int reactor_ready(void);
int frames_ready(void);
int websocket_ready(void);
int websocket_output_ready(void);

/* --- reactor.c */

/* Tells epoll what this connection waits for. */
void update_interest(WebSocketConnection *c);

/* Whether frames that have come are for a later turn. */
void set_behind(WebSocketConnection *c, bool behind);

/* Closes the socket. The reactor's reference goes, at once or after the events being served. */
void close_socket(WebSocketConnection *c);

/* Handles bytes that have come, or those that have come before. */
int take_bytes(WebSocketConnection *c, unsigned char *data, size_t size);

/* --- websocket_output.c */

/* The answers of a connection leave the reactor's; they stay readable until others are added. */
void detach_answers(WebSocketConnection *c);

/* Writes the answers that wait. */
int write_answers(WebSocketConnection *c);

/* Sends what waits, as far as the client takes it. If the connection is lost, reading will tell. */
void send_output(WebSocketConnection *c);

/* Writes bytes behind everything that has been sent before. `owner` is NULL or the bytes object
 * whose data it is. */
int write_bytes(WebSocketConnection *c, const void *data, size_t size, PyObject *owner);

/* Whether `add_answer` may be called: what it adds leaves before what is sent later. */
bool can_add_answer(const WebSocketConnection *c);

/* Adds a text frame whose payload is in two pieces. */
int add_answer(WebSocketConnection *c, const char *head, size_t head_size, const char *tail,
               size_t tail_size);

/* Writes a batch of packets: `first`, and what is in the list `rest`; both may be NULL. */
int send_packets(WebSocketConnection *c, PyObject *first, PyObject *rest);

/* Something that belongs to the stream is lost: the connection is, too. Reading will tell. */
void abort_connection(WebSocketConnection *c);

/* --- frames.c */

/* Takes the frames that are complete, `*budget` of them at most; how many bytes they had. */
Py_ssize_t take_frames(WebSocketConnection *c, unsigned char *data, size_t size, int *budget,
                       bool *corked);

/* Hands the exception that is set to on_error; -1 if it is no Exception, or on_error has raised. */
int report_error(WebSocketConnection *c);

/* Finishes a callback; what it raised is its connection's error. */
int finish_callback(WebSocketConnection *c, PyObject *result);

/* ------------------------------------------------------------------------------- sessions */

typedef struct {
    PyObject_HEAD
    PyObject *state;
    PyObject *transport;
    PyObject *observer;
    PyObject *on_message;
    PyObject *on_drain;
    PyObject *cork;
    PyObject *fast_dispatch;   /* the Dispatch that takes events of `/` here; None: none does */
    PyObject *fast_dispatches; /* by namespace, those of the others; None: there are none */
    PyObject *drain_callbacks;
    PyObject *first, *rest; /* packets that wait: one, and a list of those behind it */
    Py_ssize_t queued, limit;
    char corked, awaiting_pong, ping_extended, behind, binary_prefix;
} SessionCore;

extern PyTypeObject SessionCoreType, CorkType;

int session_ready(void);
int driver_ready(void);
int memory_ready(void);
int dispatch_ready(void);
int answer_ready(void);

/* --- session_core.c */

/* Whether the twin has everything that SessionCore has, and the methods that it calls: 0 or -1. */
int session_check_twin(PyObject *twin);

PyObject *session_receive(SessionCore *f, PyObject *data);
PyObject *session_send(SessionCore *f, PyObject *packet);
PyObject *session_flush(SessionCore *f, PyObject *unused);

/* Whether something to deliver packets with is the method `send` of a SessionCore. */
bool is_session_send(PyObject *deliver);

/* --- driver.c */

int add_to_cork(PyObject *cork, PyObject *session);
PyObject *flush_all(PyObject *module, PyObject *args);

/* --- memory.c */

PyObject *deliver_all(PyObject *module, PyObject *args);

/* With thousands of clients, what belongs to each is in no cache: it is asked for in advance. */
#define AHEAD 6
#define PREFETCH(object) __builtin_prefetch((const char *)(object), 1)

/* ------------------------------------------------------------------------------- events */

#define MAX_ARGUMENTS 14  /* of a handler that is called here */
#define MAX_NAMESPACE 256 /* bytes, with the comma; events of longer ones go to Python */

/* What stands before the payload of an event. */
typedef struct {
    bool ack_wanted;
    uint64_t ack_id;
    const char *namespace; /* with the comma behind it; of no length for `/` */
    size_t namespace_size;
} EventHeader;

/* --- text_packet.c */

/* Takes a text message of an open session: 1 if it was an event that has been handled here, 0 if it
 * was not, and nothing has happened. `c` is the connection that it came over, or NULL. */
int take_text_packet(SessionCore *f, WebSocketConnection *c, const char *data, size_t size);

/* --- dispatch.c */

/* Whether what has been decoded is an event with a name that a client may send: 1, 0 or -1. */
int is_event(PyObject *dispatch, PyObject *event);

/* Whether a socket has no earlier event to finish, no middlewares, no listeners for all events. */
bool is_idle(PyObject *dispatch);

/* Handles a decoded event (a list): 1, 0 or -1 as take_text_packet says. */
int handle_event(SessionCore *f, WebSocketConnection *c, PyObject *dispatch, PyObject *event,
                 const EventHeader *header);

/* The same for a text whose handler knows how to decode it into its types (Handler.decode). */
int handle_typed_event(SessionCore *f, WebSocketConnection *c, PyObject *dispatch, const char *data,
                       PyObject *text, const EventHeader *header);

/* Hands a decoded event to Dispatch.take: its socket is busy, or its handlers are not for here. */
int hand_on_event(PyObject *dispatch, PyObject *event, const EventHeader *header, size_t length);

/* --- answer.c */

/* The id that an answer is to have, or None. */
PyObject *make_ack_id(const EventHeader *header);

/* Answers an event with what its handler has returned. */
int answer_event(SessionCore *f, WebSocketConnection *c, PyObject *socket,
                 const EventHeader *header, PyObject *result);

#endif
