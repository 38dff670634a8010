/* channel.c - channels, which deliver to S3: we have none. */
#include "service/inside.h"

static void refuse(struct mr_call *call)
{
    mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
              "%s is not supported here: channels deliver to Amazon S3, and millrace does not.",
              mr_actions[call->action].name);
}

void mr_do_create_channel(struct mr_local *local, struct mr_call *call)
{
    (void)local;
    refuse(call);
}

void mr_do_delete_channel(struct mr_local *local, struct mr_call *call)
{
    (void)local;
    refuse(call);
}

void mr_do_describe_channel(struct mr_local *local, struct mr_call *call)
{
    (void)local;
    refuse(call);
}

void mr_do_list_channels(struct mr_local *local, struct mr_call *call)
{
    (void)local;
    refuse(call);
}

void mr_do_update_channel(struct mr_local *local, struct mr_call *call)
{
    (void)local;
    refuse(call);
}
