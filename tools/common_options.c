/* common_options.c - what every command takes. */
#include "command.h"

const struct mr_option mr_common_option_table[] = {
    {"data", MR_TYPE_TEXT, 'd', "DIR", "",
     "the data directory (MILLRACE_DATA, ~/.local/share/millrace)",
     offsetof(struct mr_common_options, data)},
    {"key_file", MR_TYPE_TEXT, 0, "FILE", "",
     "encryption keys (MILLRACE_KEY_FILE, ~/.config/millrace/keys)",
     offsetof(struct mr_common_options, key_file)},
    {"endpoint", MR_TYPE_TEXT, 0, "URL", "",
     "a server instead (AWS_ENDPOINT_URL_KINESIS, AWS_ENDPOINT_URL)",
     offsetof(struct mr_common_options, endpoint)},
    {"json", MR_TYPE_FLAG, 0, "", "", "print JSON, one object a line",
     offsetof(struct mr_common_options, json)},
    {"verbose", MR_TYPE_FLAG, 'v', "", "", "say what the engine does",
     offsetof(struct mr_common_options, verbose)},
    {"help", MR_TYPE_FLAG, 'h', "", "", "explain the command",
     offsetof(struct mr_common_options, help)},
    {.name = NULL}};
