/* readers.h - what several readers of one shard get: the measuring part of the lab `fan-out`. */
#ifndef MR_TOOLS_LABS_READERS_H
#define MR_TOOLS_LABS_READERS_H

#include "command.h"

/* `millrace lab readers`: prints one row for each number of readers, sharing and fanned out. */
enum mr_exit mr_lab_readers(struct mr_cli *cli);

#endif
