/* A buffer that grows: see native.h. Its twin is `bytearray`. */
#include "native.h"

int bytes_add(Bytes *b, const void *data, size_t size)
{
    if (b->start + b->length + size > b->capacity) {
        if (b->start) {
            memmove(b->data, b->data + b->start, b->length);
            b->start = 0;
        }
        if (b->length + size > b->capacity) {
            size_t capacity = b->length + size;
            if (b->length && capacity < 2 * b->capacity) capacity = 2 * b->capacity;
            unsigned char *grown = PyMem_Realloc(b->data, capacity);
            if (!grown) {
                PyErr_NoMemory();
                return -1;
            }
            b->data = grown;
            b->capacity = capacity;
        }
    }
    if (size) memcpy(b->data + b->start + b->length, data, size);
    b->length += size;
    return 0;
}

void bytes_drop(Bytes *b)
{
    PyMem_Free(b->data);
    memset(b, 0, sizeof *b);
}
