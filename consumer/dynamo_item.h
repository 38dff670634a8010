/* dynamo_item.h - leases as items of DynamoDB in JSON, in the layout of the KCL (spec 8.4). */
#ifndef MR_CONSUMER_DYNAMO_ITEM_H
#define MR_CONSUMER_DYNAMO_ITEM_H

#include "base/json.h"
#include "lease.h"

enum mr_item {
    MR_ITEM_LEASE,
    MR_ITEM_FAULTY, /* a lease that cannot be read; its shard may be MR_NO_SHARD */
    MR_ITEM_OTHER,  /* something else that the KCL keeps there, or of another stream */
    MR_ITEM_NONE,   /* no JSON of an item: the answer is not to be believed */
};

/* Reads an item, which comes next. */
enum mr_item mr_item_read(struct mr_json *json, mr_lease *lease, const char **fault);

/* Appends {"leaseKey":{"S":...}}. */
void mr_item_write_key(struct mr_pack *out, mr_shard_id shard);
/* Appends a whole item. */
void mr_item_write(struct mr_pack *out, const mr_lease *lease);
/* Appends AttributeUpdates that make the item `to`. */
void mr_item_write_updates(struct mr_pack *out, const mr_lease *from, const mr_lease *to);

void mr_item_write_text(struct mr_pack *out, const char *text);   /* as it is */
void mr_item_write_string(struct mr_pack *out, const char *text); /* quoted, escaped */

#endif
