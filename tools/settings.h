/*
 * settings.h - what serve is told: by an option, else MILLRACE_NAME in the environment, else its file,
 * else the table's default.
 *
 * The file has a setting a line, as "tls-cert = /etc/millrace/cert.pem"; what begins with # and empty
 * lines say nothing. A setting stands there once, but for those that may be given more than once.
 */
#ifndef MR_TOOLS_SETTINGS_H
#define MR_TOOLS_SETTINGS_H

#include "command.h"

#define MR_SETTING_COUNT_MAX 64

struct mr_settings {
    struct mr_serve_options options;
    const struct mr_option *table; /* of serve */
    const char *path;              /* of the file; NULL: none */
    char *text;                    /* of the file, cut up: texts point into it */
    /* By place in the table; the data directory's behind them. */
    struct mr_setting_origin {
        uint32_t line; /* of the file; 0: elsewhere */
        bool is_environment;
    } origins[MR_SETTING_COUNT_MAX];
};

/* INVALID: what is wrong where; or the file's trouble. Release with mr_settings_fini(). */
mr_status mr_settings_read(struct mr_settings *settings, const struct mr_cli *cli, mr_error *error);
void mr_settings_fini(struct mr_settings *settings);

/* What a file says, over the defaults; path is for messages. */
mr_status mr_settings_parse(struct mr_settings *settings, const struct mr_option *table,
                            const char *path, mr_bytes text, mr_error *error);

/* INVALID, and where the setting of that name was made, in front of what is wrong with it. */
__attribute__((format(printf, 4, 5))) mr_status mr_settings_fail(const struct mr_settings *settings,
                                                                 const char *name, mr_error *error,
                                                                 const char *format, ...);

/* Contradictions, and values that make no sense. */
mr_status mr_settings_check(const struct mr_settings *settings, mr_error *error);

#endif
