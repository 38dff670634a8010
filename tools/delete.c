#include "command.h"
#include "figures.h"
#include "output.h"
#include "streams.h"

#include <stdio.h>
#include <unistd.h>

/* On a terminal a person says yes; a script meant it. */
static bool is_meant(const struct mr_stream_info *info)
{
    char count[MR_FIGURE_BYTES], answer[16];

    if (!isatty(STDIN_FILENO))
        return true;
    fprintf(stderr, "delete %s and its %s records? [y/N] ", info->name,
            mr_count_format(info->record_count, count));
    return fgets(answer, sizeof answer, stdin) && (*answer == 'y' || *answer == 'Y');
}

enum mr_exit mr_command_delete(struct mr_cli *cli)
{
    const struct mr_delete_options *options = cli->options;
    const char *stream = cli->arguments[0];
    struct mr_stream_info info;
    enum mr_exit code = mr_cli_reach(cli, false);

    if (code)
        return code;
    if (mr_streams_describe(&cli->place, stream, &info, &cli->error))
        return mr_cli_failed(cli, stream);
    if (!options->yes && !is_meant(&info)) {
        mr_say("nothing deleted");
        return MR_EXIT_FAILED;
    }
    if (mr_streams_delete(&cli->place, stream, &cli->error))
        return mr_cli_failed(cli, stream);
    mr_say("deleted %s", stream);
    return MR_EXIT_OK;
}
