/*
 * Output: what a client has not taken yet. A broadcast is one piece of memory, however many
 * clients are slow: of what others hold, too, only a reference is kept.
 */
#include "native.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define AT_ONCE 32 /* pieces in one call of the system */
#define LEAST 256
#define MOST (64 * 1024) /* a copy that is longer is not added to */

/* The place for one more piece; NULL with MemoryError if there is none. */
static Piece *new_piece(Output *o)
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

static size_t left_in(const Piece *piece)
{
    return piece->shared ? (size_t)PyBytes_GET_SIZE(piece->shared) - piece->start
                         : piece->own.length;
}

static const unsigned char *start_of(const Piece *piece)
{
    return piece->shared ? (unsigned char *)PyBytes_AS_STRING(piece->shared) + piece->start
                         : piece->own.data + piece->own.start;
}

bool output_copy(Output *o, const void *data, size_t size)
{
    if (!size) return true;
    Piece *last = o->count > o->first ? &o->pieces[o->count - 1] : NULL;
    if (!last || last->shared || last->own.length + size > MOST) {
        last = new_piece(o);
        if (!last) return false;
        if (!bytes_add(&last->own, data, size)) return false;
        o->count++;
    } else if (!bytes_add(&last->own, data, size)) {
        return false;
    }
    o->length += size;
    return true;
}

bool output_share(Output *o, PyObject *bytes, size_t start)
{
    size_t size = (size_t)PyBytes_GET_SIZE(bytes) - start;
    if (size < LEAST || !PyBytes_CheckExact(bytes))
        return output_copy(o, PyBytes_AS_STRING(bytes) + start, size);
    Piece *piece = new_piece(o);
    if (!piece) return false;
    piece->shared = Py_NewRef(bytes);
    piece->start = start;
    o->count++;
    o->length += size;
    return true;
}

/* So many bytes have been sent. */
static void advance(Output *o, size_t sent)
{
    o->length -= sent;
    while (sent) {
        Piece *piece = &o->pieces[o->first];
        size_t left = left_in(piece);
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
        struct iovec parts[AT_ONCE];
        struct msghdr message = {.msg_iov = parts};
        for (size_t i = o->first; i < o->count && message.msg_iovlen < AT_ONCE; i++) {
            parts[message.msg_iovlen].iov_base = (void *)start_of(&o->pieces[i]);
            parts[message.msg_iovlen++].iov_len = left_in(&o->pieces[i]);
        }
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS;
        advance(o, (size_t)sent);
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
