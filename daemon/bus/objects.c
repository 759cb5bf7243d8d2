/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * objects: which connections, listeners and verifiers there are on the bus, under which paths, and
 * which of them a caller may see: one that is not for it looks as if it were not there.
 */

#include "base/terms.h"
#include "bus/private.h"

#define OBJECTS_PAGE 256

typedef struct ObjectKind {
        const char *folder;
        void *(*find)(const Relay *relay, uint32_t id);
        const Spec *(*spec)(const void *object);
        GArray *(*page)(const Relay *relay, uint32_t after, size_t max);
} ObjectKind;

static void *object_find_connection(const Relay *relay, uint32_t id) {
        return relay_find_connection(relay, id);
}

static const Spec *object_connection_spec(const void *connection) {
        return connection_facts(connection).spec;
}

static void *object_find_listener(const Relay *relay, uint32_t id) {
        return relay_find_listener(relay, id);
}

static const Spec *object_listener_spec(const void *listener) {
        return listener_facts(listener).spec;
}

static void *object_find_verifier(const Relay *relay, uint32_t id) {
        return relay_find_verifier(relay, id);
}

static const Spec *object_verifier_spec(const void *verifier) {
        return verifier_facts(verifier).spec;
}

static const ObjectKind object_kinds[N_SIGNAL_OBJECT_KINDS] = {
        [SIGNAL_CONNECTION] =
                {
                        .folder = CONNECTION_FOLDER "/",
                        .find = object_find_connection,
                        .spec = object_connection_spec,
                        .page = relay_list_connections,
                },
        [SIGNAL_LISTENER] =
                {
                        .folder = LISTENER_FOLDER "/",
                        .find = object_find_listener,
                        .spec = object_listener_spec,
                        .page = relay_list_listeners,
                },
        [SIGNAL_VERIFIER] =
                {
                        .folder = VERIFIER_FOLDER "/",
                        .find = object_find_verifier,
                        .spec = object_verifier_spec,
                        .page = relay_list_verifiers,
                },
};

/* ---- one ---- */

static const char *object_path(const ObjectKind *kind, uint32_t id,
                               char buffer[static BUS_PATH_MAX]) {
        (void)g_snprintf(buffer, BUS_PATH_MAX, "%s%" G_GUINT32_FORMAT, kind->folder, id);
        return buffer;
}

const char *connection_path(uint32_t id, char buffer[static BUS_PATH_MAX]) {
        return object_path(&object_kinds[SIGNAL_CONNECTION], id, buffer);
}

const char *listener_path(uint32_t id, char buffer[static BUS_PATH_MAX]) {
        return object_path(&object_kinds[SIGNAL_LISTENER], id, buffer);
}

const char *verifier_path(uint32_t id, char buffer[static BUS_PATH_MAX]) {
        return object_path(&object_kinds[SIGNAL_VERIFIER], id, buffer);
}

static int object_find(const ObjectKind *kind, sd_bus *b, const char *path, void **found) {
        Bus *bus = bus_of(b);
        void *object;
        uint32_t id;

        if (!path_number(path, kind->folder, &id))
                return 0;

        object = kind->find(bus->relay, id);
        if (!object || !bus_may_see(bus, caller_current(bus), kind->spec(object)))
                return 0;

        *found = object;
        return 1;
}

int connection_find(sd_bus *b, const char *path, const char *interface, void *userdata,
                    void **found, sd_bus_error *error) {
        return object_find(&object_kinds[SIGNAL_CONNECTION], b, path, found);
}

int listener_find(sd_bus *b, const char *path, const char *interface, void *userdata, void **found,
                  sd_bus_error *error) {
        return object_find(&object_kinds[SIGNAL_LISTENER], b, path, found);
}

int verifier_find(sd_bus *b, const char *path, const char *interface, void *userdata, void **found,
                  sd_bus_error *error) {
        return object_find(&object_kinds[SIGNAL_VERIFIER], b, path, found);
}

/* ---- all of them ---- */

bool objects_visit(Bus *bus, SignalObjectKind which, uint32_t after, ObjectVisit visit,
                   void *userdata) {
        const ObjectKind *kind = &object_kinds[which];
        guint n;

        do {
                g_autoptr(GArray) ids = kind->page(bus->relay, after, OBJECTS_PAGE);

                n = ids->len;
                for (guint i = 0; i < n; i++) {
                        void *object;

                        after = g_array_index(ids, uint32_t, i);
                        object = kind->find(bus->relay, after);
                        if (!visit(which, after, object, kind->spec(object), userdata))
                                return false;
                }
        } while (n == OBJECTS_PAGE);

        return true;
}

typedef struct SpecVisit {
        void (*visit)(const Spec *spec, void *userdata);
        void *userdata;
} SpecVisit;

static bool object_visit_spec(SignalObjectKind kind, uint32_t id, void *object, const Spec *spec,
                              void *userdata) {
        const SpecVisit *all = userdata;

        all->visit(spec, all->userdata);
        return true;
}

void bus_visit_specs(Bus *bus, void (*visit)(const Spec *spec, void *userdata), void *userdata) {
        SpecVisit all = {.visit = visit, .userdata = userdata};

        for (SignalObjectKind kind = 0; kind < N_SIGNAL_OBJECT_KINDS; kind++)
                (void)objects_visit(bus, kind, 0, object_visit_spec, &all);
}

/* What the current caller may see. */
typedef struct View {
        Bus *bus;
        const Caller *caller;
        GPtrArray *paths;
} View;

static bool object_view(SignalObjectKind kind, uint32_t id, void *object, const Spec *spec,
                        void *userdata) {
        View *view = userdata;
        char path[BUS_PATH_MAX];

        if (bus_may_see(view->bus, view->caller, spec))
                g_ptr_array_add(view->paths, g_strdup(object_path(&object_kinds[kind], id, path)));
        return true;
}

static int objects_enumerate(Bus *bus, SignalObjectKind kind, char ***ret_nodes) {
        View view = {
                .bus = bus,
                .caller = caller_current(bus),
                .paths = g_ptr_array_new(),
        };

        (void)objects_visit(bus, kind, 0, object_view, &view);
        g_ptr_array_add(view.paths, NULL);
        *ret_nodes = (char **)g_ptr_array_free(view.paths, FALSE);
        return 0;
}

int enumerate_connections(sd_bus *connection, const char *prefix, void *userdata, char ***ret_nodes,
                          sd_bus_error *error) {
        return objects_enumerate(userdata, SIGNAL_CONNECTION, ret_nodes);
}

int enumerate_listeners(sd_bus *connection, const char *prefix, void *userdata, char ***ret_nodes,
                        sd_bus_error *error) {
        return objects_enumerate(userdata, SIGNAL_LISTENER, ret_nodes);
}

int enumerate_verifiers(sd_bus *connection, const char *prefix, void *userdata, char ***ret_nodes,
                        sd_bus_error *error) {
        return objects_enumerate(userdata, SIGNAL_VERIFIER, ret_nodes);
}
