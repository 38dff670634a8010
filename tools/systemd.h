/* systemd.h - what a service tells its manager, and the socket it may get from it; without a library. */
#ifndef MR_TOOLS_SYSTEMD_H
#define MR_TOOLS_SYSTEMD_H

/* Sends "READY=1" and the like to who asked for it by NOTIFY_SOCKET; nobody did: nothing. */
void mr_systemd_notify(const char *state);

/* The socket that listens already (LISTEN_FDS): 0 if there is none, -1 if there is more than one. */
int mr_systemd_listener(void);

#endif
