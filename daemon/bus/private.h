/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What bus's own files see of each other. No other room includes this.
 *
 * A handler has four verbs: read, ask, do, answer. Steps that have to wait for somebody (the
 * caller's credentials, polkit, the keyring taking a secret) park the message, and when the answer
 * is there the same handler runs again from the top; so nothing before "do" may have an effect, and
 * each such step returns: 1 go on, 0 parked (the handler returns 1 at once), negative refused
 * (error is set; -BusError).
 */

#include "bus/bus.h"

#include <stdbool.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)

#define BUS_PATH_MAX 96
#define FINGERPRINT_SIZE 32 /* SHA-256 */

/* How many a turn takes off the socket. Each may come with 16 fds, which are freed at its end. */
#define BUS_MESSAGES_PER_TURN 16

/* What a call is refused with, by the names of interfaces/README.md: QDtls's as terms.h has them,
 * and ours. */
typedef enum BusError {
        BUS_E_INVALID_PARAMETERS = DTLS_INVALID_INPUT_PARAMETERS,
        BUS_E_INVALID_OPERATION = DTLS_INVALID_OPERATION,
        BUS_E_SOCKET = DTLS_UNDERLYING_SOCKET_ERROR,
        BUS_E_CLOSED = DTLS_REMOTE_CLOSED_CONNECTION_ERROR,
        BUS_E_VERIFICATION = DTLS_PEER_VERIFICATION_ERROR,
        BUS_E_TLS_INITIALIZATION = DTLS_TLS_INITIALIZATION_ERROR,
        BUS_E_TLS_FATAL = DTLS_TLS_FATAL_ERROR,
        BUS_E_TLS_NON_FATAL = DTLS_TLS_NON_FATAL_ERROR,
        BUS_E_NOT_AUTHORIZED = N_DTLS_ERRORS,
        BUS_E_QUOTA,
        BUS_E_EXISTS,
        BUS_E_TOO_LONG,
        BUS_E_TIMED_OUT,
        BUS_E_CHANNEL_IN_USE,
        BUS_E_FAILED,
        BUS_E_UNKNOWN_OBJECT, /* sd-bus's own */
} BusError;

typedef struct Callers Callers;
typedef struct Queues Queues;
typedef struct Queue Queue;
typedef struct News News;
typedef struct Pending Pending;
typedef struct Errands Errands;
typedef struct Bin Bin;
typedef struct StoreCalls StoreCalls;
typedef struct Managed Managed;

struct Bus {
        sd_bus *bus;
        sd_event *event;
        Relay *relay;
        Keys *keys;
        Quota *quota;
        Access *access;
        Queues *queues;
        Callers *callers;
        Errands *errands;
        News *news;
        Pending *pending;
        StoreCalls *store_calls;
        Managed *managed;
        Bin *bin;
        GHashTable *brakes;     /* of lines about refusals in the journal, by uid */
        uint64_t n_asked;       /* questions to polkit, ever */
        GPtrArray *slots;       /* what bus.c put on the connection */
        Watch *socket;          /* what arrives, and room for what is to leave */
        sd_event_source *calls; /* those that wait, and what sd-bus waits for */
        uint64_t calls_usec;    /* when; UINT64_MAX: nothing is */
        sd_event_source *turn;  /* its end, where no message brings it about */
        bool takes_in;          /* messages: the end of this turn is to come */
        gint64 round_usec;      /* when this round began */
        bool is_lost;
        BusHost host;
};

/* ---- bus.c ---- */

void bus_lose(Bus *bus); /* the connection is over */

/* ---- turns.c: when the connection is read and written, and the end of a turn ---- */

int turns_new(Bus *bus);
int turns_begin(Bus *bus); /* from here on what arrives is read */
void turns_end(Bus *bus);  /* nothing more does */
void turns_free(Bus *bus);
uint64_t bus_n_queued(const Bus *bus); /* messages that the bus has not taken */
/* Nobody would wait behind one call more in this round, no matter whose. */
bool bus_has_room(Bus *bus);
/* There is something to do at the end of this turn: news, answers, errands, the bin. */
void bus_turn(Bus *bus);

/* ---- bin.c: where messages are freed ---- */

/*
 * Freeing a message closes the fds that came with it, and closing somebody else's fd may block (a
 * TCP socket with SO_LINGER and unsent data). So every message that came in is let go here and
 * nowhere else, at the end of a turn, with a timer that cuts a blocking close() short.
 */
int bin_new(Bus *bus, Bin **ret);
Bin *bin_free(Bin *bin);
void bin_put(Bus *bus, sd_bus_message *m); /* takes the reference; NULL is fine */
void bin_empty(Bus *bus);

/* ---- caller.c: who calls ---- */

typedef struct Caller {
        char *name; /* unique */
        uid_t uid;
        GBytes *gids; /* of gid_t; NULL: none is known */
} Caller;

int callers_new(Bus *bus, Callers **ret); /* hears of names that leave */
Callers *callers_free(Callers *callers);
/* The first look at a call. 1: its caller is known, and it is its turn: go on. 0: it waits for
 * that, or for an earlier call of the same caller to have its answer from the keyring. Negative:
 * refused. */
int callers_admit(Bus *bus, sd_bus_message *m, sd_bus_error *error);
/* Later calls of this name wait, in order, until it is not held any more. */
void callers_hold(Bus *bus, const char *name, bool is_held);
/* queue_keep() and queue_let_go(), for the caller of the message. */
int callers_keep(Bus *bus, sd_bus_message *m, sd_bus_error *error);
void callers_let_go(Bus *bus, sd_bus_message *m);
/* At the end of a turn: who has left, and whose last call has run, is gone. */
void callers_turn_over(Bus *bus);
/* The caller of the message that is being handled. Past the filter it is always known; NULL only
 * for a message that has no sender. */
const Caller *caller_of(Bus *bus, sd_bus_message *m);
AccessSubject caller_subject(const Caller *caller);
/* The rules are new: what they leave to whoever has objects or is on the bus. */
void callers_limit(Bus *bus);
/* The caller of the message sd-bus handles right now (find functions, enumerators, getters). */
const Caller *caller_current(Bus *bus);
/* What the caller of the message has said for its later objects, or NULL. Borrowed. */
const Spec *caller_defaults(Bus *bus, sd_bus_message *m);
/* Adds the names of those that are known and that @shares are about; borrowed. */
void callers_find_shared(Bus *bus, const GArray *shares, GPtrArray *names);
/* Takes @defaults; they go with the name. 0, or a QuotaOutcome, and then those before stay. */
int caller_set_defaults(Bus *bus, sd_bus_message *m, Spec *defaults);
/* A name that is on the bus and whose credentials are known, or NULL. */
const Caller *caller_by_name(Bus *bus, const char *name);

/* ---- queue.c: calls that wait; queue-users.c: whose turn it is ---- */

int queues_new(Bus *bus, Queues **ret);
Queues *queues_free(Queues *queues); /* when all its queues are */
/* At the start of a turn: has sd-bus read the next call of each user that has one, up to a bound.
 * How many. */
unsigned queues_turn(Queues *queues);
bool queues_wait(const Queues *queues); /* there are some */
/* When the next user's rest is over; UINT64_MAX: nobody rests. */
uint64_t queues_rest_until(const Queues *queues);
bool queues_user_rests(const Queues *queues, uid_t uid);
/* A call took so long of the processor's time (cpu_usec()), in many turns; now it is over. */
void queues_took(Queues *queues, uid_t uid, int64_t usec);
int64_t cpu_usec(void);
/* Of a name; nothing runs until it is known whose it is. */
Queue *queue_new(Queues *queues);
Queue *queue_free(Queue *queue);
void queue_set_user(Queue *queue, uid_t uid);
void queue_hold(Queue *queue, bool is_held);
/* 1: it is its turn. 0: it waits. Negative: there is no room. */
int queue_admit(Queue *queue, sd_bus_message *m, sd_bus_error *error);
/* A call of it that had its turn goes on. */
void queue_runs(const Queue *queue);
void queues_ran(Queues *queues); /* the call that was admitted last, or went on */
/* A call of it that had its turn waits for somebody's answer, and no more. 1 or negative. */
int queue_keep(Queue *queue, sd_bus_error *error);
void queue_let_go(Queue *queue);
void queue_refuse(Queue *queue, BusError what, const char *text); /* all that waits */
bool queue_is_over(const Queue *queue); /* nothing waits, and what had its turn has run */

/* ---- weight.c ---- */

/* Of what @m holds, or a little more than @limit where it holds more. */
size_t message_weight(sd_bus_message *m, size_t limit);
size_t fds_used(void); /* of this process */

/* ---- errand.c: what was found out for a call that had to wait ---- */

typedef struct Asked Asked;               /* polkit.c: its verdicts */
typedef struct Taken Taken;               /* intake.c: keys the keyring took */
typedef struct ManagedReply ManagedReply; /* managed.c: what of an answer is there */

typedef enum ErrandState {
        ERRAND_RUNNING, /* its handler runs in this turn; forgotten at the end of it */
        ERRAND_WAITING, /* for somebody's answer */
        ERRAND_READY,   /* the answer is there, the handler will run again */
} ErrandState;

/* Known by the message itself, which it keeps: a sender and a cookie can be sent twice. */
typedef struct Errand {
        Bus *bus;
        sd_bus_message *m;
        uid_t uid;
        ErrandState state;
        bool holds; /* the caller's later calls */
        Asked *asked;
        Taken *taken;
        ManagedReply *managed;
} Errand;

int errands_new(Bus *bus, Errands **ret);
Errands *errands_free(Errands *errands);
Errand *errand_find(Bus *bus, sd_bus_message *m); /* NULL: it never waited */
/* Makes it if need be, charged as a call that waits. 1 or negative. */
int errand_of(Bus *bus, sd_bus_message *m, Errand **ret, sd_bus_error *error);
void errand_wait(Errand *errand, bool hold);
void errand_ready(Errand *errand); /* the handler runs again, from the top */
/* A message comes to its handler; whether it does so again. */
bool errands_resume(Bus *bus, sd_bus_message *m);
void errands_turn_over(Bus *bus);
void errands_caller_gone(Bus *bus, const char *name);
/* How many of a user's wait for polkit; and the last of whoever has most, or NULL. */
unsigned errands_asked(Bus *bus, uid_t uid);
Errand *errands_last_asked(Bus *bus);
void errand_refuse(Errand *errand, const sd_bus_error *error); /* while it waits, holding nobody */
void errand_end(Errand *errand);                               /* while it waits; nobody hears */
uint64_t asked_number(const Asked *asked); /* of its open question; 0: none is. NULL is fine */
Asked *asked_free(Asked *asked);
Taken *taken_free(Taken *taken);
ManagedReply *managed_reply_free(ManagedReply *reply);

/* ---- owner.c: whose an object is ---- */

bool bus_may_see_uid(Bus *bus, const Caller *caller, uid_t owner);
bool bus_may_see(Bus *bus, const Caller *caller, const Spec *spec);
/* The owning name, or the uid of a persistent object. */
bool caller_owns(const Caller *caller, const Spec *spec);
/* What they leave to the caller; NULL is fine. */
unsigned caller_rights(const Caller *caller, const GArray *shares);
/* Its owner, or whom it is shared with and has one of @rights (0: the owner alone): 1; else
 * NotAuthorized or UnknownObject. */
int bus_may(Bus *bus, const Caller *caller, const Spec *spec, unsigned rights, sd_bus_error *error);
int bus_may_call(sd_bus_message *m, const Spec *spec,
                 sd_bus_error *error); /* its owner: the same */
/* Its owner; of what belongs to no name any more its user, and root. */
int bus_may_close(sd_bus_message *m, const Spec *spec, sd_bus_error *error);

/* ---- ask.c: whether it may be ---- */

/* @about may be NULL. 1, 0 parked, negative. */
int bus_ask(Bus *bus, sd_bus_message *m, AccessVerb verb, const Address *about,
            sd_bus_error *error);
/* About a port that the kernel picked: what is not plainly allowed is refused. 1 or negative. */
int bus_check_port(Bus *bus, sd_bus_message *m, const Address *bound, sd_bus_error *error);
/* @entry: "identity:NAME". The same. */
int bus_ask_entry(Bus *bus, sd_bus_message *m, AccessVerb verb, const char *entry,
                  sd_bus_error *error);
/* A line about what this user has caused, and may cause as often as it likes. */
void ask_log(Bus *bus, uid_t uid, int level, const char *message_id, const char *const *fields,
             const char *text);

/* ---- polkit.c: what the rules leave to it ---- */

/* 1: it has said why not, or NULL: it may. 0 parked, negative. */
int polkit_may(Bus *bus, sd_bus_message *m, const AccessQuestion *question,
               const char **ret_why_not, sd_bus_error *error);

/* ---- intake.c: secrets that come with a call go to the keyring before the call runs ---- */

typedef enum IntakeKind {
        INTAKE_PRIVATE_KEY,
        INTAKE_PSK,
} IntakeKind;

/* @fd: as read from m. Refuses what is not a sealed memfd, without a read. 1 with *ret a reference,
 * 0 parked, negative. */
int bus_intake(Bus *bus, sd_bus_message *m, IntakeKind kind, int fd, Key **ret,
               sd_bus_error *error);

/* ---- news.c: signals, each to those who may see the object, once a turn ---- */

int news_new(Bus *bus, News **ret); /* becomes relay's observer */
News *news_free(News *news);
/* Manager.Subscribe; @all: objects of others too, as far as it may see them. Negative: refused. */
int news_watch(Bus *bus, const Caller *caller, bool all, sd_bus_error *error);
void news_watch_listed(Bus *bus, const Caller *caller); /* it has called GetManagedObjects */
void news_unwatch(Bus *bus, const char *name);          /* Manager.Unsubscribe, or it left */
void news_send(Bus *bus);                               /* at the end of a turn */

/* ---- managed.c: GetManagedObjects, some objects a turn ---- */

int managed_new(Bus *bus, Managed **ret);
Managed *managed_free(Managed *managed);
/* GetManagedObjects of the root, each time it has a turn. 1: answered, or it goes on in a later
 * one. Negative: refused. */
int managed_call(Bus *bus, sd_bus_message *m, sd_bus_error *error);
bool managed_wait(const Bus *bus); /* there are some that go on */
/* At the start of a turn: has sd-bus read the next of them again. How many. */
unsigned managed_turn(Bus *bus);
void managed_caller_left(Bus *bus, const char *name);

/* ---- pending.c: calls whose answer comes with a later event ---- */

int pending_new(Bus *bus, Pending **ret);
Pending *pending_free(Pending *pending);
void pending_connect(Bus *bus, sd_bus_message *m, uint32_t id); /* Manager.Connect */
/* Connection.ReadDatagram with a Timeout. 1: answered later. Negative: refused. */
int pending_read(Bus *bus, sd_bus_message *m, uint32_t id, uint64_t timeout_usec,
                 sd_bus_error *error);
/* Listener.Close of one that takes its time; later calls of this name wait. As pending_read(). */
int pending_close(Bus *bus, sd_bus_message *m, uint32_t listener, sd_bus_error *error);
void pending_listener_removed(Bus *bus, uint32_t listener); /* called by news.c */
/* Called by news.c as relay tells it; pending_settle() answers at the end of the turn. */
void pending_connection_event(Bus *bus, uint32_t id);
void pending_settle(Bus *bus);
void pending_caller_gone(Bus *bus, const char *name);

/* ---- refuse.c: outcomes to errors, in one place ---- */

/* Each sets @error and returns its BusError, negative: a handler returns that as it is. */

/* @r: an outcome of relay (positive), or a fault (negative: Failed, without detail; -EBADMSG: what
 * the caller wrote cannot be read). */
int bus_refuse(sd_bus_error *error, int r, const Reason *reason);
int bus_refuse_dtls(sd_bus_error *error, DtlsError what, const char *text);
/* The words of sd-bus for a path that is not there, so that a foreign one looks the same. */
int bus_refuse_unknown(sd_bus_error *error, const char *path);
int bus_refuse_text(sd_bus_error *error, BusError what, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* ---- values.c: values in and out of messages ---- */

typedef struct DictKey DictKey;
/* The value is next in m, of key's signature. 1, or negative with error set. */
typedef int (*DictRead)(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error);

/* A key of an a{sv} that a call takes. */
struct DictKey {
        const char *name;
        const char *signature;
        unsigned where; /* bits: for which calls */
        DictRead read;
        size_t offset;             /* for the reader: what it fills, */
        uint64_t minimum, maximum; /* and in which range */
};

typedef struct Dict {
        const DictKey *keys;
        size_t n_keys;    /* at most 64 */
        unsigned where;   /* one bit */
        const char *call; /* for people */
} Dict;

/* Reads the a{sv} that comes next: known keys, each once, of the right type. 1 or negative. */
int dict_read(sd_bus_message *m, const Dict *dict, void *userdata, sd_bus_error *error);
/* A DictRead: a basic type, unchecked, into @userdata at the key's offset. */
int dict_read_basic(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error);
/* "ay" of a length in the key's range, in the place of *ret. 1 or negative. */
int bytes_read(sd_bus_message *m, const DictKey *key, GBytes **ret, sd_bus_error *error);
/* "as" of no more than the key's maximum, the message's own, appended to @to. 1 or negative. */
int texts_read(sd_bus_message *m, const DictKey *key, GPtrArray *to, sd_bus_error *error);
/* Refuses a value: "option 'KEY' is VALUE; it must be RULE". Always negative. */
int dict_refuse(sd_bus_error *error, const DictKey *key, const char *value, const char *rule);

/* What callers wrote (UTF-8), fit to be quoted in a message: short, and all of it to be seen. */
char *text_quote(const char *text);
/* s; what is not UTF-8 is escaped. NULL is "". */
int append_text(sd_bus_message *reply, const char *text);
int append_bytes(sd_bus_message *reply, GBytes *bytes);          /* ay; NULL is empty */
int append_byte_arrays(sd_bus_message *reply, GPtrArray *bytes); /* aay of GBytes; NULL is empty */
int append_address(sd_bus_message *reply, const Address *address); /* s, without the port */
int append_owner(sd_bus_message *reply, const Spec *spec);         /* (us) */
int append_error(sd_bus_message *reply, DtlsError error, const char *text); /* (ss) */
int append_counters(sd_bus_message *reply, const Counters *counters);       /* into an open a{st} */
/* {sv} of a basic type, in an open a{sv} */
int append_entry_text(sd_bus_message *reply, const char *key, const char *text);
int append_entry_bool(sd_bus_message *reply, const char *key, bool value);
int append_entry_number(sd_bus_message *reply, const char *key, uint64_t value); /* u */
int entry_open(sd_bus_message *reply, const char *key, const char *signature);
int entry_close(sd_bus_message *reply);
/* The number at the end of an object's path below @folder; false when it is not such a path. */
bool path_number(const char *path, const char *folder, uint32_t *ret);

/* ---- cookies.c: Set- and GetCookieGeneratorParameters ---- */

/* 1 or negative. Borrowed from m. */
int cookie_parameters_read(sd_bus_message *m, CookieParameters *ret, sd_bus_error *error);
int cookie_parameters_reply(sd_bus_message *m, CookieParameters parameters);

/* ---- certificates.c: certificates in messages, and errors tied to them ---- */

#define IGNORED_MAX 256 /* more than every error of every certificate of a chain we look at */

/* Each reads what comes next in m: 1 or negative. */
int certificates_read(sd_bus_message *m, const DictKey *key, GPtrArray **ret,
                      sd_bus_error *error); /* aay, to GBytes */
uint64_t certificates_size(const GPtrArray *blobs);
int verdict_code_read(sd_bus_message *m, VerdictCode *ret, sd_bus_error *error); /* s */
int ignored_read(sd_bus_message *m, GArray **ret, sd_bus_error *error);          /* a(say) */

/* ---- options.c: a{sv} to Spec ---- */

typedef enum OptionsFor {
        OPTIONS_FOR_CREATE,
        OPTIONS_FOR_CONNECT,
        OPTIONS_FOR_LISTEN,
        OPTIONS_FOR_VERIFIER,
        OPTIONS_FOR_SET_CONFIGURATION, /* of a connection */
        OPTIONS_FOR_SET_LISTENER_CONFIGURATION,
        OPTIONS_FOR_SET_DEFAULTS,
        N_OPTIONS_FOR,
} OptionsFor;

#define VERIFICATION_NAME_MAX 255 /* a DNS name, or an address with its scope */

extern const char *const cookie_hashes[]; /* NULL-terminated */

/* The defaults for an object that is to be made: what its maker has said that goes for this call.
 */
Spec *options_new(Bus *bus, sd_bus_message *m, OptionsFor what, DtlsRole role);
/* The same for what SetDefaultConfiguration does not name. */
Spec *options_new_defaults(Bus *bus, sd_bus_message *m);
/* What GetDefaultConfiguration shows. */
Spec *options_shown_defaults(Bus *bus, sd_bus_message *m);
/* Reads the a{sv} that comes next in m over the defaults in @spec. 1, 0 parked, negative. */
int options_read(Bus *bus, sd_bus_message *m, OptionsFor what, Spec *spec, sd_bus_error *error);
/* The defaults for SetConfiguration: what it does not touch is as in @old. */
Spec *options_start_from(const Spec *old);
/* Asks policy about all that @spec wants. 1, 0 parked, negative. */
int options_ask(Bus *bus, sd_bus_message *m, OptionsFor what, const Spec *spec,
                sd_bus_error *error);
/* An address to send to, from text and port. 1 or negative. */
int options_read_peer(const char *text, uint16_t port, Address *ret, sd_bus_error *error);
/* An address to bind. 1 or negative. */
int options_read_local(const char *text, uint16_t port, Address *ret, sd_bus_error *error);
int options_check_name(const char *name, sd_bus_error *error);

/* ---- configuration.c: Spec to a{sv} ---- */

/* Appends an a{sv}: options as in effect; keys and CAs as fingerprints, no secret. */
int options_append(sd_bus_message *reply, const Spec *spec);
const char *transport_name(const Spec *spec);

/* ---- objects.c: which connections, listeners and verifiers there are ---- */

typedef enum SignalObjectKind {
        SIGNAL_CONNECTION,
        SIGNAL_LISTENER,
        SIGNAL_VERIFIER,
        N_SIGNAL_OBJECT_KINDS,
} SignalObjectKind;

#define CONNECTION_FOLDER DTLSD_ROOT_PATH "/connection"
#define LISTENER_FOLDER DTLSD_ROOT_PATH "/listener"
#define VERIFIER_FOLDER DTLSD_ROOT_PATH "/verifier"

/* sd_bus_object_find_t: *found is the Connection, Listener or Verifier, 0 when the caller may not
 * see it or it is not there, which look the same. Getters and methods get the object as userdata
 * and the Bus from bus_of(). */
int connection_find(sd_bus *b, const char *path, const char *interface, void *userdata,
                    void **found, sd_bus_error *error);
int listener_find(sd_bus *b, const char *path, const char *interface, void *userdata, void **found,
                  sd_bus_error *error);
int verifier_find(sd_bus *b, const char *path, const char *interface, void *userdata, void **found,
                  sd_bus_error *error);
const char *connection_path(uint32_t id, char buffer[static BUS_PATH_MAX]);
const char *listener_path(uint32_t id, char buffer[static BUS_PATH_MAX]);
const char *verifier_path(uint32_t id, char buffer[static BUS_PATH_MAX]);
int enumerate_connections(sd_bus *connection, const char *prefix, void *userdata, char ***ret_nodes,
                          sd_bus_error *error);
int enumerate_listeners(sd_bus *connection, const char *prefix, void *userdata, char ***ret_nodes,
                        sd_bus_error *error);
int enumerate_verifiers(sd_bus *connection, const char *prefix, void *userdata, char ***ret_nodes,
                        sd_bus_error *error);
typedef bool (*ObjectVisit)(SignalObjectKind kind, uint32_t id, void *object, const Spec *spec,
                            void *userdata);
/* Those behind @after, 0 for all, in rising order, until @visit says false. Whether it never did.
 */
bool objects_visit(Bus *bus, SignalObjectKind kind, uint32_t after, ObjectVisit visit,
                   void *userdata);
/* Of all that there are. */
void bus_visit_specs(Bus *bus, void (*visit)(const Spec *spec, void *userdata), void *userdata);

/* ---- connection.c, listener.c, verifier.c, manager.c: one file an interface; the vtable is last
 * in each ----
 */

/* the words of their rows */
#define OPEN SD_BUS_VTABLE_UNPRIVILEGED /* every method asks for itself */
#define SECRET (SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE)
#define CONST SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define EXPLICIT SD_BUS_VTABLE_PROPERTY_EXPLICIT
#define LONG (SD_BUS_VTABLE_PROPERTY_EXPLICIT | SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION)

#define BUS_GETTER(name)                                                                           \
        int name(sd_bus *b, const char *path, const char *interface, const char *property,         \
                 sd_bus_message *reply, void *userdata, sd_bus_error *error)

/* ---- store.c ---- */

/* A call that the keyring works on. */
typedef struct StoreCall {
        Bus *bus;
        sd_bus_message *m;
        uid_t uid;
        uint64_t ticket;
        uid_t owner;      /* of what is changed, charged while the call lasts with */
        uint64_t n_bytes; /* so much */
} StoreCall;

/* Whether @name can be meant by @uid: a plain one, or its own "u/UID/NAME". */
bool store_name_is_for(const char *name, uid_t uid);
/* What comes next in m: a name that the caller may ask to change. 1 or negative. */
int store_read_name(Bus *bus, sd_bus_message *m, const char **ret, sd_bus_error *error);
/* One user's name of another's is as if it were not there. @what: for people. */
int store_refuse_unknown(const char *what, const char *name, sd_bus_error *error);
/* About a name that is for the caller: its own are not asked about. @kind: "identity". As
 * bus_ask(). */
int store_ask(Bus *bus, sd_bus_message *m, AccessVerb verb, const char *kind, const char *name,
              sd_bus_error *error);
/* Who may use it, or may ask to. */
bool store_may_see(Bus *bus, const Caller *caller, const char *kind, const char *name);
/* 1 or negative. The call goes with on_store_done(), which answers it and is a KeysDone. */
int store_call_new(Bus *bus, sd_bus_message *m, StoreCall **ret, sd_bus_error *error);
/* The same for a change of what has this kind and name, once policy allows it. 1, 0 parked,
 * negative. */
int store_begin(Bus *bus, sd_bus_message *m, const char *kind, const char *name, StoreCall **ret,
                sd_bus_error *error);
/* The same for who has asked policy by itself, and adds so much to what has this name: its owner is
 * charged while the call lasts, and for what the store has then by relay. 1 or negative. */
int store_call_new_of(Bus *bus, sd_bus_message *m, const char *name, uint64_t n_bytes,
                      StoreCall **ret, sd_bus_error *error);
/* Whether it could be, for who has not read yet what it is. 1 or negative. */
int store_check_room(Bus *bus, const char *name, uint64_t n_bytes, sd_bus_error *error);
void on_store_done(int outcome, const char *text, void *userdata);
/* A whole method: what has the name that comes next in m is removed by @remove, of keys/. */
typedef uint64_t (*StoreRemove)(Keys *keys, uid_t uid, const char *name, KeysDone answer,
                                void *userdata);
int store_remove(sd_bus_message *m, const char *kind, StoreRemove remove, sd_bus_error *error);
void store_call_end(StoreCall *call); /* it has been answered otherwise */
int store_calls_new(Bus *bus, StoreCalls **ret);
StoreCalls *store_calls_free(StoreCalls *calls);

/* identity.c: the store's certificates; and two methods of the Manager. */

#define IDENTITY_FOLDER DTLSD_ROOT_PATH "/identity"

/* What comes next in m, as certificates of an identity: 1 or negative. */
int identity_read_chain(sd_bus_message *m, GPtrArray **ret, sd_bus_error *error);
int identity_find(sd_bus *b, const char *path, const char *interface, void *userdata, void **found,
                  sd_bus_error *error);
int enumerate_identities(sd_bus *connection, const char *prefix, void *userdata, char ***ret_nodes,
                         sd_bus_error *error);
void identity_path(const char *name, char *ret, size_t size);
/* A DictRead: a sealed memfd, borrowed from m, into an int at the key's offset. */
int read_secret_fd(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error);
int method_import_identity(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_remove_identity(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* psk.c: three methods of the Manager, about the store's pre-shared keys. */
int method_set_psk(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_remove_psk(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_psks(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* trust.c: four methods of the Manager, about the store's trust sets. */
int method_add_trust_anchors(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_remove_trust_anchor(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_trusts(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_trust_anchors(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* revoked.c: four methods of the Manager, about certificates that the store takes back. */
int method_set_revocations(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_remove_revocations(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_revocations(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_get_revocations(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* share.c: two methods and two properties of a Connection. */
int call_share(sd_bus_message *m, Connection *connection, sd_bus_error *error);
int call_unshare(sd_bus_message *m, Connection *connection, sd_bus_error *error);
int append_shares_entry(sd_bus_message *reply, const GArray *shares); /* as the option Share */
BUS_GETTER(get_attached);
BUS_GETTER(get_shares);

/* pin.c: three methods of the Manager, about the keys that hosts may have. */
int method_pin(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_unpin(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_list_pins(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* generate.c: two methods of the Manager, about keys that the keyring makes. */
int method_generate_identity(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_install_certificate(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* manager-facts.c: the Manager's properties. */
BUS_GETTER(get_version);
BUS_GETTER(get_features);
BUS_GETTER(get_supported_ciphers);
BUS_GETTER(get_supported_curves);
BUS_GETTER(get_supported_protocols);
BUS_GETTER(get_supported_hashes);
BUS_GETTER(get_limits);
BUS_GETTER(get_service_statistics);

/* list.c: one method of the Manager. */
#define LIST_PAGE_MAX 1000 /* connections in an answer: each is less than 1 KiB of it */
int method_list_connections(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* policy.c: two methods of the Manager. */
int method_check_access(sd_bus_message *m, void *userdata, sd_bus_error *error);
int method_reload(sd_bus_message *m, void *userdata, sd_bus_error *error);

extern const sd_bus_vtable manager_vtable[];
extern const sd_bus_vtable connection_vtable[];
extern const sd_bus_vtable identity_vtable[];
extern const sd_bus_vtable listener_vtable[];
extern const sd_bus_vtable verifier_vtable[];

/* The Bus an sd_bus, or a message of it, belongs to (handlers get the object as userdata). */
Bus *bus_of(sd_bus *connection);
Bus *message_bus(sd_bus_message *m);
