/* report.h - where records are sent, and what became of them, for people and for programs. */
#ifndef MR_TOOLS_REPLAY_REPORT_H
#define MR_TOOLS_REPLAY_REPORT_H

#include "json_line.h"
#include "replay/sender.h"

/* Finds the server or opens the engine, and looks whether the stream is there. limits: the engine
 * has those of Kinesis; a server has its own. */
enum mr_exit mr_send_reach(struct mr_cli *cli, const char *stream, bool limits);

/* Says how much was stored, how fast, what was throttled where, and how late records were. */
void mr_sent_say(const struct mr_sent *sent, double seconds);

/* Members of the object being written. */
void mr_sent_show(struct mr_json_line *line, const struct mr_sent *sent, double seconds);

/* "12,345 records, 1,234/s, 3 throttled": the note beside a progress bar. */
#define MR_SENT_NOTE_BYTES 120
const char *mr_sent_note(const struct mr_sent *sent, double seconds, char note[MR_SENT_NOTE_BYTES]);

/* Lines that were refused: all are counted, the first few shown. */
struct mr_refusals {
    _Atomic uint64_t count;
};
void mr_refusal_say(struct mr_refusals *refusals, uint64_t line, const char *why);

#endif
