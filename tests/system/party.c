/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "party.h"

#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GID_ONE ((gid_t)20)
#define GID_TWO ((gid_t)44)

static sd_bus *bus_of_groups(Service *service, uid_t uid, size_t n, const gid_t *gids) {
        sd_bus *bus;

        g_assert_cmpint(setgroups(n, gids), ==, 0);
        bus = service_bus(service, uid);
        g_assert_cmpint(setgroups(0, NULL), ==, 0);
        return bus;
}

bool party_new(Party *party) {
        static const gid_t both[] = {GID_ONE, GID_TWO};
        g_autofree char *listener = NULL;
        uint16_t port;

        if (!service_has_users())
                return false;

        party->service = service_start(NULL);
        party->alice = service_bus(party->service, UID_ALICE);
        party->bob = bus_of_groups(party->service, UID_BOB, 1, &both[1]);
        party->carol = bus_of_groups(party->service, UID_CAROL, 2, both);
        listener = listen_queue(party->alice, &port, &party->queue);
        party->path = open_client(party->alice, port, false);
        party->far = accept_channel(party->queue);
        return true;
}

void party_done(Party *party) {
        (void)close(party->far);
        (void)close(party->queue);
        (void)bus_leave(party->alice);
        (void)bus_leave(party->bob);
        (void)bus_leave(party->carol);
        service_stop(party->service);
        g_free(party->path);
}

void party_share(const Party *party, const char *subject, const char *one, const char *other) {
        (void)sd_bus_message_unref(other ? call(party->alice, party->path, CONNECTION, "Share",
                                                "sas", subject, 2, one, other)
                                         : call(party->alice, party->path, CONNECTION, "Share",
                                                "sas", subject, 1, one));
}

void party_unshare(const Party *party, const char *subject) {
        (void)sd_bus_message_unref(
                call(party->alice, party->path, CONNECTION, "Unshare", "s", subject));
}

void party_assert_refused(const Party *party, sd_bus *bus, const char *error, const char *method) {
        g_free(call_refused(error, bus, party->path, CONNECTION, method, ""));
}

char *party_attached(const Party *party) {
        return get_values(party->alice, party->path, CONNECTION, "Attached");
}

typedef struct Gone {
        const Party *party;
        const char *what;
} Gone;

static bool is_detached(void *userdata) {
        const Gone *gone = userdata;
        g_autofree char *text = party_attached(gone->party);

        return !strstr(text, gone->what);
}

void party_wait_detached(const Party *party, const char *what) {
        bus_wait(party->alice, is_detached, &(Gone){party, what}, "the end of a shared channel");
}

void assert_comes(int fd, const char *text) {
        char buffer[64];

        (void)wait_fd(fd);
        g_assert_cmpint(recv(fd, buffer, sizeof(buffer), 0), ==, (ssize_t)strlen(text));
        g_assert_cmpmem(buffer, strlen(text), text, strlen(text));
}

void assert_hangs_up(int fd) {
        char buffer[64];

        do
                (void)wait_fd(fd);
        while (recv(fd, buffer, sizeof(buffer), 0) > 0);
        g_assert_cmpint(recv(fd, buffer, sizeof(buffer), 0), ==, 0);
}
