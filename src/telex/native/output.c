/*
 * What a client has not taken yet. Its twin is the write buffer of an asyncio transport.
 *
 * A broadcast is one piece of memory, however many clients are slow: of what others hold, too, only
 * a reference is kept.
 */
#include "native.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PIECES_PER_CALL 32 /* pieces in one call of the system */
#define SHARED_LEAST 256
#define COPIED_MOST (64 * 1024) /* a copy that is longer is not added to */

/* The place for one more piece; NULL with MemoryError if there is none. */
static Piece *add_piece(Output *o)
{
    if (o->first && (o->first == o->count || o->count == o->capacity)) {
        o->count -= o->first;
        memmove(o->pieces, o->pieces + o->first, o->count * sizeof *o->pieces);
        o->first = 0;
    }
    if (o->count == o->capacity) {
        size_t capacity = o->capacity ? 2 * o->capacity : 1;
        Piece *grown = PyMem_Realloc(o->pieces, capacity * sizeof *grown);
        if (!grown) {
            PyErr_NoMemory();
            return NULL;
        }
        o->pieces = grown;
        o->capacity = capacity;
    }
    Piece *piece = &o->pieces[o->count];
    memset(piece, 0, sizeof *piece);
    return piece;
}

static void drop_piece(Piece *piece)
{
    if (piece->shared) Py_DECREF(piece->shared);
    else bytes_drop(&piece->own);
}

static size_t count_left(const Piece *piece)
{
    return piece->shared ? (size_t)PyBytes_GET_SIZE(piece->shared) - piece->start
                         : piece->own.length;
}

static const unsigned char *find_start(const Piece *piece)
{
    return piece->shared ? (unsigned char *)PyBytes_AS_STRING(piece->shared) + piece->start
                         : piece->own.data + piece->own.start;
}

int output_copy(Output *o, const void *data, size_t size)
{
    if (!size) return 0;
    Piece *last = o->count > o->first ? &o->pieces[o->count - 1] : NULL;
    if (!last || last->shared || last->own.length + size > COPIED_MOST) {
        last = add_piece(o);
        if (!last) return -1;
        if (bytes_add(&last->own, data, size) < 0) return -1;
        o->count++;
    } else if (bytes_add(&last->own, data, size) < 0) {
        return -1;
    }
    o->length += size;
    return 0;
}

int output_share(Output *o, PyObject *bytes, size_t start)
{
    size_t size = (size_t)PyBytes_GET_SIZE(bytes) - start;
    if (size < SHARED_LEAST || !PyBytes_CheckExact(bytes))
        return output_copy(o, PyBytes_AS_STRING(bytes) + start, size);
    Piece *piece = add_piece(o);
    if (!piece) return -1;
    piece->shared = Py_NewRef(bytes);
    piece->start = start;
    o->count++;
    o->length += size;
    return 0;
}

/* So many bytes have been sent. */
static void drop_sent(Output *o, size_t sent)
{
    o->length -= sent;
    while (sent) {
        Piece *piece = &o->pieces[o->first];
        size_t left = count_left(piece);
        if (sent < left) {
            if (piece->shared) piece->start += sent;
            else piece->own.start += sent, piece->own.length -= sent;
            return;
        }
        sent -= left;
        o->first++;
        drop_piece(piece);
    }
}

bool output_send(Output *o, int fd)
{
    while (o->length) {
        struct iovec parts[PIECES_PER_CALL];
        struct msghdr message = {.msg_iov = parts};
        for (size_t i = o->first; i < o->count && message.msg_iovlen < PIECES_PER_CALL; i++) {
            parts[message.msg_iovlen].iov_base = (void *)find_start(&o->pieces[i]);
            parts[message.msg_iovlen++].iov_len = count_left(&o->pieces[i]);
        }
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS;
        drop_sent(o, (size_t)sent);
    }
    output_drop(o);
    return true;
}

void output_drop(Output *o)
{
    for (size_t i = o->first; i < o->count; i++) drop_piece(&o->pieces[i]);
    PyMem_Free(o->pieces);
    memset(o, 0, sizeof *o);
}
