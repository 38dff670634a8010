#include "server/self_signed.h"

#include "base/fail.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAYS 800 /* what clients take of a certificate that is not a public one's */
#define DAYS_LEFT_LEAST 30
#define DAY_S (24L * 3600)
#define NAMES_BYTES 512

/* ---- names -------------------------------------------------------------------------------- */

struct names {
    char host[128];
    const char *address; /* NULL: none, or one of those that are there anyway */
};

static bool is_number(const char *text)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static struct names names_of(const char *address)
{
    static const char *const known[] = {"127.0.0.1", "::1", "0.0.0.0", "::", "localhost"};
    struct names names = {.address = address};

    if (gethostname(names.host, sizeof names.host - 1) || !names.host[0] ||
        strspn(names.host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") !=
            strlen(names.host))
        snprintf(names.host, sizeof names.host, "localhost");
    for (size_t i = 0; address && i < sizeof known / sizeof *known; i++)
        if (strcmp(address, known[i]) == 0)
            names.address = NULL;
    return names;
}

/* "DNS:localhost,..." for a certificate. */
static void list_names(const struct names *names, char text[NAMES_BYTES])
{
    snprintf(text, NAMES_BYTES, "DNS:localhost,DNS:%s,IP:127.0.0.1,IP:::1%s%s", names->host,
             !names->address             ? ""
             : is_number(names->address) ? ",IP:"
                                         : ",DNS:",
             names->address ? names->address : "");
}

/* The same as constraints of the authority: an address with its mask. */
static void list_constraints(const struct names *names, char text[NAMES_BYTES])
{
    static const char one_6[] = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    bool is_6 = names->address && strchr(names->address, ':');
    bool is_host = names->address && !is_number(names->address);

    snprintf(text, NAMES_BYTES,
             "critical,permitted;DNS:localhost,permitted;DNS:%s,"
             "permitted;IP:127.0.0.0/255.0.0.0,permitted;IP:::1/%s%s%s%s%s",
             names->host, one_6,
             !names->address ? ""
             : is_host       ? ",permitted;DNS:"
                             : ",permitted;IP:",
             names->address ? names->address : "", !names->address || is_host ? "" : "/",
             !names->address || is_host ? ""
             : is_6                     ? one_6
                                        : "255.255.255.255");
}

/* ---- making ------------------------------------------------------------------------------- */

static mr_status fail_crypto(mr_error *error, const char *what)
{
    char reason[120] = "out of memory";
    unsigned long code = ERR_peek_last_error();

    if (code)
        ERR_error_string_n(code, reason, sizeof reason);
    ERR_clear_error();
    return mr_fail(error, MR_INVALID, "cannot make %s: %s", what, reason);
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool is_added;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    is_added = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_added;
}

static bool add_name(X509_NAME *name, const char *field, const char *text)
{
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)text, -1,
                                      -1, 0) == 1;
}

/* Without extensions and signature. */
static X509 *make_blank(EVP_PKEY *key, const char *common_name)
{
    X509 *cert = X509_new();
    BIGNUM *serial = BN_new();
    bool is_made = cert && serial && X509_set_version(cert, X509_VERSION_3) == 1 &&
                   BN_rand(serial, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                   BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)) &&
                   X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S) &&
                   X509_gmtime_adj(X509_getm_notAfter(cert), DAYS * DAY_S) &&
                   add_name(X509_get_subject_name(cert), "O", "millrace") &&
                   add_name(X509_get_subject_name(cert), "CN", common_name) &&
                   X509_set_pubkey(cert, key) == 1;

    BN_free(serial);
    if (is_made)
        return cert;
    X509_free(cert);
    return NULL;
}

static X509 *make_ca(EVP_PKEY *key, const struct names *names)
{
    char title[160], constraints[NAMES_BYTES];
    X509 *ca;

    snprintf(title, sizeof title, "millrace on %s", names->host);
    title[64] = 0; /* longer ones are not allowed */
    list_constraints(names, constraints);
    ca = make_blank(key, title);
    if (ca && X509_set_issuer_name(ca, X509_get_subject_name(ca)) == 1 &&
        add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        add_extension(ca, ca, NID_key_usage, "critical,keyCertSign") &&
        add_extension(ca, ca, NID_subject_key_identifier, "hash") &&
        add_extension(ca, ca, NID_name_constraints, constraints) &&
        X509_sign(ca, key, EVP_sha256()) > 0)
        return ca;
    X509_free(ca);
    return NULL;
}

static X509 *make_cert(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key, const struct names *names)
{
    char list[NAMES_BYTES];
    X509 *cert = make_blank(key, "localhost");

    list_names(names, list);
    if (cert && X509_set_issuer_name(cert, X509_get_subject_name(ca)) == 1 &&
        add_extension(cert, ca, NID_basic_constraints, "critical,CA:FALSE") &&
        add_extension(cert, ca, NID_key_usage, "critical,digitalSignature") &&
        add_extension(cert, ca, NID_ext_key_usage, "serverAuth") &&
        add_extension(cert, ca, NID_subject_key_identifier, "hash") &&
        add_extension(cert, ca, NID_authority_key_identifier, "keyid:always") &&
        add_extension(cert, ca, NID_subject_alt_name, list) &&
        X509_sign(cert, ca_key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

/* ---- files -------------------------------------------------------------------------------- */

/* Whole or not at all, as with all that a power cut may interrupt. */
static mr_status write_pem(const char *path, X509 *first, X509 *second, EVP_PKEY *key,
                           mr_error *error)
{
    char new_path[MR_PATH_BYTES + 8];
    int fd;
    FILE *file;
    bool is_written;

    snprintf(new_path, sizeof new_path, "%s.new", path);
    unlink(new_path);
    fd = open(new_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, key ? 0600 : 0644);
    file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file)
        return mr_fail_os(error, errno, "cannot write %s", new_path);
    is_written = (!first || PEM_write_X509(file, first) == 1) &&
                 (!second || PEM_write_X509(file, second) == 1) &&
                 (!key || PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    is_written = fflush(file) == 0 && fsync(fd) == 0 && is_written;
    if (fclose(file) != 0 || !is_written || rename(new_path, path))
        return mr_fail_os(error, errno, "cannot write %s", path);
    return MR_OK;
}

/* The key first: a certificate is there only when all is. */
static mr_status make_files(const struct mr_self_signed *files, const struct names *names,
                            mr_error *error)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *ca = ca_key ? make_ca(ca_key, names) : NULL;
    X509 *cert = ca && key ? make_cert(key, ca, ca_key, names) : NULL;
    mr_status status = cert ? MR_OK : fail_crypto(error, "a certificate");

    if (!status)
        status = write_pem(files->key, NULL, NULL, key, error);
    if (!status)
        status = write_pem(files->ca, ca, NULL, NULL, error);
    if (!status)
        status = write_pem(files->cert, cert, ca, NULL, error);
    X509_free(cert);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    return status;
}

static X509 *read_cert(const char *path)
{
    FILE *file = fopen(path, "re");
    X509 *cert = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;

    if (file)
        fclose(file);
    ERR_clear_error();
    return cert;
}

static bool covers(X509 *cert, const char *name)
{
    return is_number(name) ? X509_check_ip_asc(cert, name, 0) == 1
                           : X509_check_host(cert, name, 0, 0, NULL) == 1;
}

static bool is_good(const struct mr_self_signed *files, const struct names *names)
{
    X509 *cert = read_cert(files->cert), *ca = read_cert(files->ca);
    EVP_PKEY *ca_key = ca ? X509_get_pubkey(ca) : NULL;
    time_t later = time(NULL) + DAYS_LEFT_LEAST * DAY_S;
    bool is_good = cert && ca_key && X509_verify(cert, ca_key) == 1 &&
                   X509_cmp_time(X509_get0_notAfter(cert), &later) > 0 &&
                   covers(cert, "localhost") && covers(cert, names->host) &&
                   (!names->address || covers(cert, names->address)) &&
                   access(files->key, R_OK) == 0;

    EVP_PKEY_free(ca_key);
    X509_free(cert);
    X509_free(ca);
    ERR_clear_error();
    return is_good;
}

static bool put_path(char path[MR_PATH_BYTES], const char *directory, const char *name)
{
    return (size_t)snprintf(path, MR_PATH_BYTES, "%s/%s", directory, name) < MR_PATH_BYTES;
}

mr_status mr_self_signed_open(struct mr_self_signed *files, const char *directory,
                              const char *address, mr_error *error)
{
    struct names names = names_of(address);

    files->is_new = false;
    if (!put_path(files->ca, directory, "ca.pem") ||
        !put_path(files->cert, directory, "server.pem") ||
        !put_path(files->key, directory, "server.key"))
        return mr_fail(error, MR_LIMIT, "the name of the directory for certificates is too long");
    if (mkdir(directory, 0700) && errno != EEXIST)
        return mr_fail_os(error, errno, "cannot make the directory %s", directory);
    if (is_good(files, &names))
        return MR_OK;
    files->is_new = true;
    return make_files(files, &names, error);
}
