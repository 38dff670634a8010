#include "bench/peer.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 10000

/* ---- processes ---------------------------------------------------------------------------- */

/* Runs a program, which ends when we do; *output, unless NULL, reads what it prints. */
static void start(struct mr_peer *peer, const char *const *arguments, FILE **output)
{
    int ends[2];
    int log = open(mr_bench_path("log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t parent = getpid();

    mr_check(pipe(ends) == 0 && log >= 0);
    fflush(NULL);
    peer->pid = fork();
    mr_check(peer->pid >= 0);
    if (peer->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        dup2(output ? ends[1] : log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execvp(arguments[0], (char *const *)(uintptr_t)arguments);
        fprintf(stderr, "%s: %s\n", arguments[0], strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    close(log);
    if (output)
        *output = fdopen(ends[0], "r");
    else
        close(ends[0]);
}

void mr_peer_stop(struct mr_peer *peer)
{
    if (peer->pid <= 0)
        return;
    kill(peer->pid, SIGTERM);
    waitpid(peer->pid, NULL, 0);
    peer->pid = 0;
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    mr_check(bind(fd, (struct sockaddr *)&address, size) == 0 &&
             getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* Until it takes connections. */
static bool is_up(struct mr_peer *peer, const char *name)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(peer->port)};
    bool is_connected = false;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (unsigned ms = 0; ms < START_MS && !is_connected; ms += 10) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        is_connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
        close(fd);
        if (waitpid(peer->pid, NULL, WNOHANG) == peer->pid) {
            peer->pid = 0;
            break;
        }
        if (!is_connected)
            mr_bench_sleep_until(mr_bench_now_ns() + 10000000);
    }
    if (!is_connected) {
        printf("# %s does not start: no figures beside it\n", name);
        mr_peer_stop(peer);
    }
    return is_connected;
}

/* ---- millrace ----------------------------------------------------------------------------- */

void mr_peer_start_millrace(struct mr_peer *peer, const char *directory)
{
    mr_peer_start_guarded(peer, directory, NULL);
}

void mr_peer_start_guarded(struct mr_peer *peer, const char *directory, const char *auth)
{
    const char *program = getenv("MILLRACE"), *port;
    const char *arguments[] = {(program ? program : "millrace"),
                               "serve",
                               "--data",
                               mr_bench_path(directory),
                               "--port",
                               "0",
                               "--limits",
                               "off",
                               "--state-delay",
                               "0",
                               "--json",
                               auth ? "--auth" : NULL,
                               auth,
                               NULL};
    char line[512] = "";
    FILE *output;

    start(peer, arguments, &output);
    if (!fgets(line, sizeof line, output) || !(port = strstr(line, "\"port\":"))) {
        fprintf(stderr, "%s serve does not start; MILLRACE names the program\n", arguments[0]);
        exit(1);
    }
    peer->port = (uint16_t)strtoul(port + strlen("\"port\":"), NULL, 10);
    fclose(output);
}

/* ---- others ------------------------------------------------------------------------------- */

static const char *find(const char *variable, const char *name)
{
    const char *program = getenv(variable);

    if (!program || !*program)
        printf("# %s is not set: no figures beside %s\n", variable, name);
    return program && *program ? program : NULL;
}

bool mr_peer_start_nginx(struct mr_peer *peer)
{
    static const char settings[] =
        "daemon off;\nworker_processes auto;\npid pid;\n"
        "events { worker_connections 1024; }\n"
        "http {\n  access_log off;\n  keepalive_requests 1000000000;\n"
        "  client_body_temp_path body;\n  proxy_temp_path proxy;\n"
        "  fastcgi_temp_path fastcgi;\n  uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n"
        "  server {\n    listen 127.0.0.1:%u reuseport;\n"
        "    default_type application/x-amz-json-1.1;\n    location / { return 200 "
        "'{\"SequenceNumber\":\"49668899999999999999999999999999999999999999999999999999\","
        "\"ShardId\":\"shardId-000000000000\"}'; }\n  }\n}\n";
    const char *program = find("MR_BENCH_NGINX", "nginx"), *directory = mr_bench_path("nginx");
    const char *arguments[] = {program, "-p", directory, "-c", "conf", "-e", "stderr", NULL};
    FILE *file;

    if (!program)
        return false;
    mkdir(directory, 0700);
    file = fopen(mr_bench_path("nginx/conf"), "w");
    mr_check(file);
    peer->port = free_port();
    fprintf(file, settings, peer->port);
    fclose(file);
    start(peer, arguments, NULL);
    return is_up(peer, "nginx");
}

bool mr_peer_start_kinesalite(struct mr_peer *peer)
{
    const char *program = find("MR_BENCH_KINESALITE", "kinesalite");
    char port[8];
    const char *arguments[] = {"node", program,        "--port", port, "--createStreamMs",
                               "0",    "--shardLimit", "1000",   NULL};

    if (!program)
        return false;
    peer->port = free_port();
    snprintf(port, sizeof port, "%u", peer->port);
    start(peer, arguments, NULL);
    return is_up(peer, "kinesalite");
}

/* ---- what they use ------------------------------------------------------------------------ */

uint64_t mr_peer_memory_kb(const struct mr_peer *peer, const char *what)
{
    char path[64], line[256];
    unsigned long long kb = 0;
    size_t size = strlen(what);
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", (int)peer->pid);
    file = fopen(path, "r");
    mr_check(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, what, size) == 0 && line[size] == ':')
            kb = strtoull(line + size + 1, NULL, 10);
    fclose(file);
    return kb;
}

double mr_peer_processor_s(const struct mr_peer *peer)
{
    unsigned long user = 0, kernel = 0;
    char path[64];
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)peer->pid);
    file = fopen(path, "r");
    mr_check(file);
    if (fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &kernel) != 2)
        user = kernel = 0;
    fclose(file);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

void mr_peer_settle(const struct mr_peer *peer)
{
    for (unsigned i = 0; i < 50; i++) {
        double before = mr_peer_processor_s(peer);

        mr_bench_sleep_until(mr_bench_now_ns() + 200000000);
        if (mr_peer_processor_s(peer) - before < 0.015)
            return;
    }
}
