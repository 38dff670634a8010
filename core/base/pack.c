#include "base/pack.h"

#include "base/check.h"
#include "base/endian.h"
#include "base/memory.h"

void mr_pack_fini(struct mr_pack *pack)
{
    mr_free(pack->data);
    *pack = (struct mr_pack){.limit = pack->limit};
}

uint8_t *mr_pack_extend(struct mr_pack *pack, size_t bytes)
{
    size_t needed = pack->size + bytes;
    uint8_t *start;

    mr_check(needed >= pack->size && (pack->limit == 0 || needed <= pack->limit));
    if (needed > pack->capacity) {
        size_t capacity = pack->capacity ? pack->capacity * 2 : 256;
        if (capacity < needed)
            capacity = needed;
        pack->data = mr_resize(pack->data, capacity);
        pack->capacity = capacity;
    }
    start = pack->data + pack->size;
    pack->size = needed;
    return start;
}

void mr_pack_u8(struct mr_pack *pack, uint8_t value)
{
    *mr_pack_extend(pack, 1) = value;
}

void mr_pack_u32(struct mr_pack *pack, uint32_t value)
{
    mr_store32(mr_pack_extend(pack, sizeof value), value);
}

void mr_pack_u64(struct mr_pack *pack, uint64_t value)
{
    mr_store64(mr_pack_extend(pack, sizeof value), value);
}

void mr_pack_varint(struct mr_pack *pack, uint64_t value)
{
    mr_varint_write(mr_pack_extend(pack, mr_varint_bytes(value)), value);
}

void mr_pack_bytes(struct mr_pack *pack, mr_bytes bytes)
{
    if (bytes.size)
        memcpy(mr_pack_extend(pack, bytes.size), bytes.data, bytes.size);
}

void mr_pack_string(struct mr_pack *pack, mr_bytes bytes)
{
    mr_pack_varint(pack, bytes.size);
    mr_pack_bytes(pack, bytes);
}
