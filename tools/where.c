#include "base/fail.h"
#include "base/json.h"
#include "base/u128.h"
#include "output.h"
#include "show.h"

#include <string.h>

static void print_json(const char *key, mr_hash_key hash_key, const mr_shard *shard)
{
    struct mr_json_line line = MR_JSON_LINE;
    char md5[33];

    snprintf(md5, sizeof md5, "%016llx%016llx", (unsigned long long)hash_key.hi,
             (unsigned long long)hash_key.lo);
    mr_json_open(&line, '{');
    mr_json_name(&line, "partition_key");
    mr_json_text(&line, key);
    mr_json_name(&line, "md5");
    mr_json_text(&line, md5);
    mr_show_hash_key(&line, "hash_key", hash_key);
    mr_show_shard_id(&line, "shard_id", shard->id);
    mr_show_hash_key(&line, "first_hash_key", shard->first_key);
    mr_show_hash_key(&line, "last_hash_key", shard->last_key);
    mr_json_close(&line, '}');
    mr_json_print(&line, stdout);
    mr_pack_fini(&line.pack);
}

static void print(const char *key, mr_hash_key hash_key, const mr_shard *shard)
{
    char number[MR_HASH_KEY_TEXT_BYTES], first[MR_HASH_KEY_TEXT_BYTES],
        last[MR_HASH_KEY_TEXT_BYTES], id[MR_SHARD_TEXT_BYTES];

    mr_hash_key_format(hash_key, number);
    mr_hash_key_format(shard->first_key, first);
    mr_hash_key_format(shard->last_key, last);
    mr_shard_format(shard->id, id);
    printf("%s%s%s is in %s%s%s\n", mr_colour_on(stdout, MR_BOLD), key, mr_colour_off(stdout),
           mr_colour_on(stdout, MR_BOLD), id, mr_colour_off(stdout));
    printf("  MD5    %016llx%016llx\n", (unsigned long long)hash_key.hi,
           (unsigned long long)hash_key.lo);
    printf("         is the number %s\n", number);
    printf("  range  %s\n      to %s\n", first, last);
    printf("  why    that is %.2f %% of the way through the hash space;\n"
           "         the open shard from %.2f %% to %.2f %% of it takes this key\n",
           mr_hash_key_part(hash_key) * 100, mr_hash_key_part(shard->first_key) * 100,
           mr_hash_key_part(shard->last_key) * 100);
}

/* The open shard that takes a key; every key has one. */
static const mr_shard *shard_for(const struct mr_shard_list *list, mr_hash_key key)
{
    for (size_t i = 0; i < list->count; i++)
        if (!list->shards[i].is_closed && !mr_hash_key_below(key, list->shards[i].first_key) &&
            !mr_hash_key_below(list->shards[i].last_key, key))
            return &list->shards[i];
    return NULL;
}

static enum mr_exit show_keys(struct mr_cli *cli, const struct mr_shard_list *list)
{
    for (size_t i = 1; i < cli->argument_count; i++) {
        const char *key = cli->arguments[i];
        mr_hash_key hash_key = mr_hash_key_of((mr_bytes){key, strlen(key)});
        const mr_shard *shard = shard_for(list, hash_key);

        if (!mr_utf8_is_valid((mr_bytes){key, strlen(key)}) || !*key)
            return mr_cli_misused(cli, "a partition key is UTF-8 text, not empty");
        if (!shard) {
            mr_fail(&cli->error, MR_BUSY, "no open shard takes '%.100s' at this moment", key);
            return mr_cli_failed(cli, cli->arguments[0]);
        }
        if (cli->common->json)
            print_json(key, hash_key, shard);
        else
            print(key, hash_key, shard);
    }
    return MR_EXIT_OK;
}

enum mr_exit mr_command_where(struct mr_cli *cli)
{
    const char *stream = cli->arguments[0];
    struct mr_shard_list list;
    enum mr_exit code = mr_cli_reach(cli, false);

    if (code)
        return code;
    code = mr_shard_list_read(&list, &cli->place, stream, &cli->error) ? mr_cli_failed(cli, stream)
                                                                       : show_keys(cli, &list);
    mr_shard_list_fini(&list);
    return code;
}
