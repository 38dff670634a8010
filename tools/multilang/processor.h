/*
 * processor.h - a child as the processor of a shard: what a consumer calls becomes messages, and what
 * the child answers becomes checkpoints. One child a shard that this worker holds.
 *
 * A child that dies, answers wrongly or not in time is killed, and a second later another begins at
 * the checkpoint: its shard waits, the others go on.
 */
#ifndef MR_TOOLS_MULTILANG_PROCESSOR_H
#define MR_TOOLS_MULTILANG_PROCESSOR_H

#include "child.h"
#include "millrace-consumer.h"

/* The context of mr_multilang_processor. */
struct mr_multilang {
    char *const *argv;
    uint32_t timeout_ms; /* for an answer; 0: none */
    bool is_verbose;
    struct mr_curfew curfew;
    _Atomic uint64_t restart_count; /* children that failed */
};

extern const struct mr_processor mr_multilang_processor;

#endif
