#include "output.h"
#include "show.h"

/* Where the master keys are, if that is a matter of this process. */
static const char *key_file_of(const struct mr_cli *cli)
{
    const char *path = mr_cli_key_file(cli);

    return path ? path : "~/.config/millrace/keys";
}

static void say_what_follows(const struct mr_cli *cli, const char *stream, bool is_on)
{
    if (!is_on) {
        mr_say("%s: what is put from now on is not encrypted; what is there stays as it is",
               stream);
        return;
    }
    mr_say("%s: what is put from now on is encrypted on the disk", stream);
    if (cli->place.engine)
        mr_say("keep a copy of the key file, apart from the data: without it these records are "
               "lost (%s)",
               key_file_of(cli));
}

enum mr_exit mr_command_encrypt(struct mr_cli *cli)
{
    const struct mr_encrypt_options *options = cli->options;
    const char *stream = cli->arguments[0];
    struct mr_json_line line = MR_JSON_LINE;
    struct mr_stream_info info;
    mr_service *service;
    enum mr_exit code = mr_cli_reach(cli, false);

    if (code)
        return code;
    if (mr_cli_service(cli, &service) ||
        mr_remote_encrypt(service, stream, options->key_id, !options->off, &cli->error) ||
        mr_streams_describe(&cli->place, stream, &info, &cli->error))
        return mr_cli_failed(cli, stream);
    if (cli->common->json) {
        mr_show_stream(&line, &info);
        mr_json_print(&line, stdout);
        mr_pack_fini(&line.pack);
    } else {
        say_what_follows(cli, stream, info.is_encrypted);
    }
    return MR_EXIT_OK;
}
