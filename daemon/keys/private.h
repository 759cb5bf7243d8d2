/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of keys/ see of each other; no other room includes this. */

#include "base/use.h"
#include "keys/keys.h"

#include <systemd/sd-bus.h>

typedef enum AskKind {
        ASK_IMPORT_PRIVATE_KEY,
        ASK_IMPORT_PSK,
        ASK_SIGN,
        ASK_FETCH_PSK,
        ASK_STORE_IDENTITY,
        ASK_REMOVE_IDENTITY,
        ASK_GENERATE_IDENTITY,
        ASK_INSTALL_CERTIFICATE,
        ASK_STORE_PSK,
        ASK_REMOVE_PSK,
        ASK_CHANGE_TRUST, /* anchors added or removed */
        ASK_CHANGE_PINS,  /* pinned or unpinned */
        ASK_STORE_REVOCATIONS,
        ASK_REMOVE_REVOCATIONS,
} AskKind;

typedef struct Ask {
        Keys *keys;
        uint64_t ticket;
        AskKind kind;
        union { /* by kind */
                KeysImported imported;
                KeysSigned signed_;
                KeysFetched fetched;
                KeysDone done;
                KeysGenerated generated;
        };
        void *userdata;
        bool answered; /* or forgotten: nobody is to be called */

        uint64_t due_usec; /* UINT64_MAX: never */
        int due_outcome;   /* what is answered then */
        const char *due_text;
        sd_bus_slot *slot; /* the call; NULL: was not made, or not yet */
        bool is_batched;   /* it is asked among others, batch.c */

        int fd; /* import: what waits for the connection to be ready; else -1 */
        uint32_t uid;
        KeysIdentity *identity; /* store and remove: what it is about, */
        KeysPsk *psk;           /* or this */
        char *trust;            /* or the set of this name, */
        char *place;            /* or what is pinned here, */
        KeysRevoked *revoked;   /* or this */
} Ask;

struct Keys {
        sd_event *event;
        sd_event_source *timer; /* of all asks */
        uint64_t timer_usec;    /* when it rings; UINT64_MAX: it does not */
        const KeysHost *host;   /* NULL: none */
        void *host_userdata;
        uint64_t answer_usec;
        uint64_t last_ticket;
        GHashTable *asks; /* ticket in the ask itself to Ask, owned */

        sd_bus *bus;      /* NULL: not connected */
        GHashTable *held; /* set of Key that live in this keyring; they are their holders' */
        sd_bus_slot *uses_opening;
        int uses_fd;      /* for uses of keys; -1: not open */
        bool is_stalled;  /* it was full */
        UsePacket *batch; /* what this turn asks */
        UsePacket *answers;
        uint64_t batch_first; /* its ticket */
        KeysLost lost;
        void *userdata;

        sd_bus_slot *listing;
        GHashTable *identities; /* name in the identity itself to KeysIdentity, owned */
        bool identities_known;
        sd_bus_slot *psks_listing;
        GTree *psks; /* name in the PSK itself to KeysPsk, owned */
        KeysPsksChanged psks_changed;
        void *psks_userdata;
        KeysIdentitiesChanged changed;
        void *changed_userdata;

        sd_bus_slot *trusts_listing;
        GHashTable *trusts; /* name in the set itself to KeysTrust, owned */
        KeysTrustsChanged trusts_changed;
        void *trusts_userdata;

        sd_bus_slot *pins_listing;
        GHashTable *pins; /* place to GPtrArray of GBytes, owned */
        bool pins_known;

        sd_bus_slot *revoked_listing;
        GHashTable *revoked; /* name in the entry itself to KeysRevoked, owned */
        bool revoked_known;
        KeysRevokedChanged revoked_changed;
        void *revoked_userdata;
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)

/* ---- keys.c ---- */

#define KEYS_TEXT_GONE "the keyring is not there; it is being started again"

Key *key_new(Keys *keys, uint64_t id, const void *spki, size_t spki_size);
/* Whether @key can be used; else the answer is on its way. */
bool ask_check_key(Ask *ask, const Key *key);
/* Behind what sd-event has to see. */
void keys_stir(Keys *keys);
/* Whoever waits is told, and who connected it. */
void keys_lose(Keys *keys);

/* ---- asks.c ---- */

Ask *ask_new(Keys *keys, AskKind kind, void *userdata);
/* The call is on its way, or @r says why it is not; either way the answer comes from the loop. */
uint64_t ask_begin(Ask *ask, int r);
/* A call about what is kept under this name; its further arguments are the caller's to append. */
int ask_message_new(const Keys *keys, const char *method, uid_t uid, const char *name,
                    sd_bus_message **ret);
/* Makes this call where @r is no error; then ask_begin(). */
uint64_t ask_call(Ask *ask, sd_bus_message *m, int r);
void ask_free(void *data);
/* Answered so, then, unless it was before. */
void ask_set_due(Ask *ask, uint64_t delay_usec, int outcome, const char *text);
/* The ask is gone after these. */
void ask_settle(Ask *ask, int outcome, const char *text);
void ask_fail_by_error(Ask *ask, const sd_bus_error *error);
int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int on_asks_due(sd_event_source *source, uint64_t usec, void *userdata); /* keys->timer's */

/* ---- batch.c ---- */

void batch_new(Keys *keys);
void batch_free(Keys *keys);
/* A new keyring is asked for the socket. */
void batch_open(Keys *keys);
void batch_close(Keys *keys);
/* The connection is over: who asked is told at once. */
void batch_lose(Keys *keys);

/* ---- identities.c ---- */

KeysIdentity *identity_new(const char *name);
void keys_identity_free(void *identity);
void identities_tell(Keys *keys, const char *name);
/* What the keyring keeps is asked for; the old ones are gone. */
void identities_ask(Keys *keys);
void identities_forget(Keys *keys);
/* The reply of ask->identity's call: negative when it cannot be read. */
int ask_read_stored(Ask *ask, sd_bus_message *m);
int ask_read_removed(Ask *ask);
/* "aay", of GBytes. */
int read_blobs(sd_bus_message *m, GPtrArray **ret);
int append_blobs(sd_bus_message *m, GPtrArray *blobs);

/* ---- generate.c ---- */

int ask_read_generated(Ask *ask, sd_bus_message *m);

/* ---- psks.c: the same for pre-shared keys ---- */

GTree *psks_table_new(void);
void keys_psk_free(void *psk);
void psks_ask(Keys *keys);
void psks_forget(Keys *keys);
int ask_read_stored_psk(Ask *ask, sd_bus_message *m);
int ask_read_removed_psk(Ask *ask);

/* ---- trusts.c ---- */

void keys_trust_free(void *trust);
/* What the keyring keeps is asked for. The old ones stay until it is known. */
void trusts_ask(Keys *keys);
void trusts_forget(Keys *keys); /* the question */
int ask_read_trust(Ask *ask, sd_bus_message *m);

/* ---- pins.c: the same for pins ---- */

GHashTable *pins_table_new(void);
void pins_ask(Keys *keys);
void pins_forget(Keys *keys);
int ask_read_pins(Ask *ask, sd_bus_message *m);

/* ---- revoked.c: the same for what is taken back ---- */

void keys_revoked_free(void *revoked);
GHashTable *revoked_table_new(void);
void revoked_ask(Keys *keys);
void revoked_forget(Keys *keys);
int ask_read_stored_revocations(Ask *ask);
int ask_read_removed_revocations(Ask *ask);
