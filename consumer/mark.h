/* mark.h - marks: places of records, made of what sources give and kept as bytes. */
#ifndef MR_CONSUMER_MARK_H
#define MR_CONSUMER_MARK_H

#include "base/pack.h"
#include "base/scan.h"
#include "millrace-consumer.h"

#define MR_MARK(name) ((mr_mark){.kind = MR_MARK_##name})

/* The bits of a sequence number, as its text has them. */
mr_mark mr_mark_of(const mr_sequence *sequence);
/* Its counter: where an engine goes on. */
uint64_t mr_mark_number(const mr_mark *place);

/* The digits of a sequence number, no sentinel. False: there are others, or too many. */
bool mr_mark_read(mr_bytes digits, mr_mark *place);

void mr_mark_pack(struct mr_pack *pack, const mr_mark *place);
mr_mark mr_mark_scan(struct mr_scan *scan);

#endif
