/* place.h - places of records, made of what sources give and kept as bytes. */
#ifndef MR_CONSUMER_PLACE_H
#define MR_CONSUMER_PLACE_H

#include "base/pack.h"
#include "base/scan.h"
#include "millrace-consumer.h"

#define MR_PLACE(name) ((mr_place){.kind = MR_PLACE_##name})

/* The bits of a sequence number, as its text has them. */
mr_place mr_place_of(const mr_sequence *sequence);
/* Its counter: where an engine goes on. */
uint64_t mr_place_number(const mr_place *place);

/* The digits of a sequence number, no sentinel. False: there are others, or too many. */
bool mr_place_read(mr_bytes digits, mr_place *place);

void mr_place_pack(struct mr_pack *pack, const mr_place *place);
mr_place mr_place_scan(struct mr_scan *scan);

#endif
