/*
 * fault.h - trouble on demand, for those who test what they do about it. A rule is a text as
 *
 *     operation=PutRecord,stream=orders,every=3,error=ProvisionedThroughputExceededException
 *
 * for what:  operation=NAME, stream=NAME (all, if it does not say)
 * when:      every=N (the N-th, the 2N-th, ...), probability=10% or 0.1, count=N (so often, then no more)
 * what:      delay=500ms, error=NAME (an exception of Kinesis), disconnect=before or after the
 *            operation was done; at least one of them, and all that it says happens
 *
 * Of the rules that are for a request, the first whose turn it is decides.
 */
#ifndef MR_SERVER_FAULT_H
#define MR_SERVER_FAULT_H

#include "service/service.h"

#define MR_FAULT_TEXT_BYTES 256
#define MR_FAULT_COUNT_MAX 64

enum mr_fault_cut { MR_FAULT_NO_CUT, MR_FAULT_CUT_BEFORE, MR_FAULT_CUT_AFTER };

struct mr_fault_rule {
    char text[MR_FAULT_TEXT_BYTES];     /* as it was written */
    enum mr_action action;              /* MR_ACTION_COUNT: all */
    char stream[MR_NAME_BYTES_MAX + 1]; /* "": all */
    uint64_t every, count;              /* count: 0 is for ever */
    double probability;
    uint32_t delay_ms;
    enum mr_exception error; /* MR_EXCEPTION_NONE: none */
    enum mr_fault_cut cut;

    uint64_t seen_count, hit_count; /* requests that it is for, and those it was for */
};

/* INVALID: what is wrong with it. */
mr_status mr_fault_rule_read(mr_bytes text, struct mr_fault_rule *rule, mr_error *error);

struct mr_faults;

struct mr_faults *mr_faults_new(uint64_t seed);
void mr_faults_free(struct mr_faults *faults); /* NULL is allowed */

/* Replaces all rules by those of a text, one a line. INVALID, LIMIT: all stays as it is. */
mr_status mr_faults_set(struct mr_faults *faults, mr_bytes text, mr_error *error);

/* A copy of the rules; returns how many. */
size_t mr_faults_list(struct mr_faults *faults, struct mr_fault_rule rules[MR_FAULT_COUNT_MAX]);

bool mr_faults_are_set(struct mr_faults *faults); /* cheap */

/* Whose turn it is for a request; false: nobody's. */
bool mr_faults_hit(struct mr_faults *faults, enum mr_action action, const char *stream,
                   struct mr_fault_rule *rule);

#endif
