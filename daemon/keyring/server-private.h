/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the keyring's door see of each other; nobody else includes this. */

#include "base/use.h"
#include "keyring/changes.h"
#include "keyring/generator.h"
#include "keyring/identities.h"
#include "keyring/importer.h"
#include "keyring/journal.h"
#include "keyring/pins.h"
#include "keyring/psks.h"
#include "keyring/revoked.h"
#include "keyring/server.h"
#include "keyring/signer.h"
#include "keyring/trusts.h"
#include "keyring/uses.h"
#include "keyring/vault.h"

#include <systemd/sd-bus.h>

#define SERVER_ERROR_BAD_SECRET DTLSD_ERROR_PREFIX "BadSecret"
#define SERVER_ERROR_UNKNOWN_KEY DTLSD_ERROR_PREFIX "UnknownKey"
#define SERVER_ERROR_NOT_AUTHORIZED DTLSD_ERROR_PREFIX "NotAuthorized"
#define SERVER_ERROR_QUOTA_EXCEEDED DTLSD_ERROR_PREFIX "QuotaExceeded"
#define SERVER_ERROR_FAILED DTLSD_ERROR_PREFIX "Failed"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)

struct Server {
        sd_event *event;
        sd_bus *bus;
        Vault *vault;
        Identities *identities;
        Psks *psks;
        Trusts *trusts;
        Pins *pins;
        Revoked *revoked;
        Store *store; /* NULL: there is none */
        Changes *changes;
        Signer *signer;
        Generator *generator;
        Importer *importer;
        ServerClosed closed;
        void *userdata;
        GHashTable *brakes; /* of what is logged, by uid */
        Uses *uses;
        int uses_fd; /* where keys are used; -1: not open */
        sd_event_source *uses_source;
        UsePacket *asked, *answers;
        GQueue full;          /* UsePackets of answers, owned, that go before */
        bool is_reading_uses; /* and so collects answers */
        bool is_stalled;      /* dtlsd does not read now: it is not read either */
};

typedef struct ServerSubject { /* whom and what a call is about */
        uint64_t id;           /* 0: no key yet */
        uid_t uid;
} ServerSubject;

/* ---- server.c ---- */

uint64_t server_now(const Server *server);
/* So many lines for each user. @message_id: of keyring/journal.h. */
void server_log(Server *server, int level, const char *message_id, const ServerSubject *subject,
                const char *text);
/* @uid did @what, as in "stored", with the entry of that name. */
void server_log_entry(Server *server, uid_t uid, const char *what, const char *kind,
                      const char *name);
int server_refuse(Server *server, ServerSubject subject, const char *name, const char *text,
                  sd_bus_error *ret_error);
int server_fail(Server *server, ServerSubject subject, int r, sd_bus_error *ret_error);
/* @r: of VaultOutcome, or a fault. Always negative. */
int server_refuse_vault(Server *server, ServerSubject subject, int r, const char *text,
                        sd_bus_error *ret_error);

/* ---- server-change.c ---- */

/* Has @method, whose first argument is whom it is for, called in its turn. What a method that
 * answers later returns. */
int server_change(Server *server, sd_bus_message *m, sd_bus_message_handler_t method,
                  sd_bus_error *ret_error);
/* The same for what answers by itself. 0, or refused. */
int server_put_change(Server *server, uid_t uid, ChangesMake make, void *userdata,
                      sd_bus_error *ret_error);
int server_refuse_stopped(sd_bus_error *ret_error);
/* @r: what the method returned. Frees the error. */
void server_reply_error(sd_bus_message *m, int r, sd_bus_error *error);

/* ---- server-uses.c ---- */

int method_open_uses(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
/* What was asked on the socket before now; it is not read while dtlsd does not read. */
void server_run_uses(Server *server);
void server_close_uses(Server *server);

/* ---- server-store.c: the methods about what is kept ---- */

/* Whether @uid may write an entry of this name. */
int server_check_name(Server *server, uid_t uid, const char *name, sd_bus_error *ret_error);
/* Whom a call is for, and the name it is about, with which it begins. */
int server_read_name(Server *server, sd_bus_message *m, uint32_t *ret_uid, const char **ret_name,
                     sd_bus_error *ret_error);
int server_read_secret(Server *server, uid_t uid, int fd, Secret **ret, sd_bus_error *ret_error);
int server_refuse_no_store(Server *server, uid_t uid, sd_bus_error *ret_error);
/* "aay", of GBytes, at most so many. */
int server_read_blobs(sd_bus_message *m, size_t n_max, GPtrArray **ret);
int server_append_blobs(sd_bus_message *m, GPtrArray *blobs);
/* The answer to @m: an array of structs of these types, whose fields @append appends. */
int server_reply_list(sd_bus_message *m, const GPtrArray *list, const char *types,
                      int (*append)(sd_bus_message *m, const void *entry));
#define UNKNOWN_IDENTITY "there is no identity of this name"
/* @r: of EntriesOutcome, or a fault. Always negative. */
int store_refuse(Server *server, uid_t uid, int r, const char *text, sd_bus_error *ret_error);
typedef int (*StoreRemove)(Server *server, const char *name);
/* A whole method. @unknown: what it says where there is none. */
int store_remove_entry(Server *server, sd_bus_message *m, StoreRemove remove, const char *kind,
                       const char *unknown, sd_bus_error *ret_error);
/* "tayaayb", the answer to what made @identity. */
int store_reply_pair(sd_bus_message *m, const Identity *identity);

int method_remove_identity(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int method_list_identities(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);

/* ---- server-import.c: those about pairs that are brought along ---- */

/* Says in the log which cannot be used. */
void server_try_tokens(Server *server);
/* What a signature with @key came to, SignerOutcome: says in the log that its token is away, or
 * back, once. */
void server_note_token(VaultKey *key, int outcome);
int method_store_identity(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);

/* ---- server-psk.c: of that the pre-shared keys ---- */

int method_store_psk(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int method_remove_psk(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int method_list_psks(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);

/* ---- server-trust.c: those about trust sets ---- */

int method_add_trust_anchors(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int method_remove_trust_anchor(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int method_list_trusts(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);

/* ---- server-pins.c: those about pins ---- */

int method_pin(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int method_unpin(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int method_list_pins(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);

/* ---- server-revoked.c: those about denied certificates and revocation lists ---- */

int method_store_revocations(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int method_remove_revocations(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int method_list_revocations(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);

/* ---- server-generate.c: those about keys that are made here ---- */

int method_generate_identity(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int method_install_certificate(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
