/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The XML in interfaces/ against the tables the service answers by: the same members, with the same
 * names, types and flags, each documented.
 */

#include "base/terms.h"
#include "bus/private.h"

#include <string.h>

typedef struct Interface {
        const char *name;
        const sd_bus_vtable *vtable;
} Interface;

static const Interface interfaces[] = {
        {DTLSD_INTERFACE_MANAGER, manager_vtable},
        {DTLSD_INTERFACE_CONNECTION, connection_vtable},
        {DTLSD_INTERFACE_LISTENER, listener_vtable},
        {DTLSD_INTERFACE_VERIFIER, verifier_vtable},
        {DTLSD_INTERFACE_IDENTITY, identity_vtable},
};

/* ---- a member as a line of text ---- */

static gint compare_lines(gconstpointer a, gconstpointer b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *lines_join(GPtrArray *lines) {
        GString *joined = g_string_new(NULL);

        g_ptr_array_sort(lines, compare_lines);
        for (guint i = 0; i < lines->len; i++)
                g_string_append_printf(joined, "%s\n", (char *)g_ptr_array_index(lines, i));

        return g_string_free(joined, FALSE);
}

/* ---- of a vtable ---- */

/* The length of the first complete type. */
static size_t type_length(const char *signature) {
        size_t i = 0;
        int depth = 0;

        while (signature[i] == 'a')
                i++;
        do {
                if (signature[i] == '(' || signature[i] == '{')
                        depth++;
                else if (signature[i] == ')' || signature[i] == '}')
                        depth--;
                i++;
        } while (depth > 0);

        return i;
}

/* " s address q port", and *names behind them. */
static void append_arguments(GString *line, const char *signature, const char **names) {
        while (signature && *signature) {
                size_t length = type_length(signature);

                g_string_append_printf(line, " %.*s %s", (int)length, signature, *names);
                signature += length;
                *names += strlen(*names) + 1;
        }
}

static char *line_of_row(const sd_bus_vtable *row) {
        GString *line = g_string_new(NULL);
        uint64_t flags = row->flags;
        const char *names;

        switch (row->type) {
        case _SD_BUS_VTABLE_METHOD:
                names = row->x.method.names;
                g_string_append_printf(line, "method %s:", row->x.method.member);
                append_arguments(line, row->x.method.signature, &names);
                g_string_append(line, " ->");
                append_arguments(line, row->x.method.result, &names);
                break;
        case _SD_BUS_VTABLE_SIGNAL:
                names = row->x.signal.names;
                g_string_append_printf(line, "signal %s:", row->x.signal.member);
                append_arguments(line, row->x.signal.signature, &names);
                break;
        case _SD_BUS_VTABLE_PROPERTY:
                g_string_append_printf(line, "property %s: %s", row->x.property.member,
                                       row->x.property.signature);
                if (flags & SD_BUS_VTABLE_PROPERTY_CONST)
                        g_string_append(line, " const");
                else if (flags & SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION)
                        g_string_append(line, " invalidates");
                else if (flags & SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)
                        g_string_append(line, " true");
                else
                        g_string_append(line, " false");
                if (flags & SD_BUS_VTABLE_PROPERTY_EXPLICIT)
                        g_string_append(line, " explicit");
                break;
        default:
                g_error("a row of type %c: nothing here is writable", row->type);
        }

        return g_string_free(line, FALSE);
}

static const sd_bus_vtable *next_row(const sd_bus_vtable *row) {
        g_assert_cmpuint(row->type, !=, _SD_BUS_VTABLE_END);
        row++;
        return row->type == _SD_BUS_VTABLE_END ? NULL : row;
}

static GPtrArray *lines_of_vtable(const sd_bus_vtable *vtable) {
        GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);

        for (const sd_bus_vtable *row = next_row(vtable); row; row = next_row(row))
                g_ptr_array_add(lines, line_of_row(row));

        return lines;
}

/* ---- of the XML ---- */

typedef struct Reader {
        GPtrArray *lines;
        GPtrArray *undocumented;
        char *interface;
        char *comment; /* the last one */
        char *about;   /* the one that is the open member's */
        GString *in, *out;
        char *kind, *name; /* of the member that is open */
        char *type, *emits;
        bool is_explicit;
} Reader;

static const char *attribute(const char **names, const char **values, const char *name) {
        for (size_t i = 0; names[i]; i++)
                if (strcmp(names[i], name) == 0)
                        return values[i];

        return NULL;
}

static void set(char **field, const char *value) {
        g_free(*field);
        *field = g_strdup(value);
}

/* A comment "NAME: …" right before it; a method says how it can fail. */
static void check_comment(Reader *reader) {
        g_autofree char *start = g_strdup_printf("%s:", reader->name);
        const char *text = reader->comment ? reader->comment : "";

        while (*text && strchr("<!- \n", *text))
                text++;
        if (!g_str_has_prefix(text, start))
                g_ptr_array_add(reader->undocumented, g_strdup(reader->name));
        else if (strcmp(reader->kind, "method") == 0 && !strstr(text, "Errors:") &&
                 !strstr(text, "Never fails"))
                g_ptr_array_add(reader->undocumented,
                                g_strconcat(reader->name, ", how it can fail", NULL));

        set(&reader->about, text);
        set(&reader->comment, NULL);
}

/* "@NAME:" in the comment of its method or signal. */
static void check_argument(Reader *reader, const char *name) {
        g_autofree char *mark = g_strdup_printf("@%s:", name);

        if (!strstr(reader->about, mark))
                g_ptr_array_add(reader->undocumented,
                                g_strconcat(reader->name, ", its argument ", name, NULL));
}

static void on_start(GMarkupParseContext *context, const char *element, const char **names,
                     const char **values, gpointer userdata, GError **error) {
        Reader *reader = userdata;
        const char *name = attribute(names, values, "name");

        if (strcmp(element, "interface") == 0) {
                set(&reader->interface, name);
        } else if (strcmp(element, "method") == 0 || strcmp(element, "signal") == 0 ||
                   strcmp(element, "property") == 0) {
                set(&reader->kind, element);
                set(&reader->name, name);
                set(&reader->type, attribute(names, values, "type"));
                set(&reader->emits, "true");
                reader->is_explicit = false;
                g_string_truncate(reader->in, 0);
                g_string_truncate(reader->out, 0);
                check_comment(reader);
                if (strcmp(element, "property") == 0)
                        g_assert_cmpstr(attribute(names, values, "access"), ==, "read");
        } else if (strcmp(element, "arg") == 0) {
                const char *direction = attribute(names, values, "direction");
                bool is_out = g_strcmp0(direction, "out") == 0;

                check_argument(reader, name);
                g_string_append_printf(is_out ? reader->out : reader->in, " %s %s",
                                       attribute(names, values, "type"), name);
        } else if (strcmp(element, "annotation") == 0) {
                if (strcmp(name, "org.freedesktop.DBus.Property.EmitsChangedSignal") == 0)
                        set(&reader->emits, attribute(names, values, "value"));
                else if (strcmp(name, "org.freedesktop.systemd1.Explicit") == 0)
                        reader->is_explicit = true;
        }
}

static void on_end(GMarkupParseContext *context, const char *element, gpointer userdata,
                   GError **error) {
        Reader *reader = userdata;
        char *line;

        if (strcmp(element, "method") == 0)
                line = g_strdup_printf("method %s:%s ->%s", reader->name, reader->in->str,
                                       reader->out->str);
        else if (strcmp(element, "signal") == 0)
                line = g_strdup_printf("signal %s:%s", reader->name, reader->in->str);
        else if (strcmp(element, "property") == 0)
                line = g_strdup_printf("property %s: %s %s%s", reader->name, reader->type,
                                       reader->emits, reader->is_explicit ? " explicit" : "");
        else
                return;

        g_ptr_array_add(reader->lines, line);
}

static void on_other(GMarkupParseContext *context, const char *text, gsize size, gpointer userdata,
                     GError **error) {
        Reader *reader = userdata;

        if (g_str_has_prefix(text, "<!--")) {
                g_free(reader->comment);
                reader->comment = g_strndup(text, size);
        }
}

static void reader_done(Reader *reader) {
        (void)g_ptr_array_unref(reader->lines);
        (void)g_ptr_array_unref(reader->undocumented);
        (void)g_string_free(reader->in, TRUE);
        (void)g_string_free(reader->out, TRUE);
        g_free(reader->interface);
        g_free(reader->comment);
        g_free(reader->about);
        g_free(reader->kind);
        g_free(reader->name);
        g_free(reader->type);
        g_free(reader->emits);
}

static void reader_read(Reader *reader, const char *interface) {
        static const GMarkupParser parser = {
                .start_element = on_start,
                .end_element = on_end,
                .passthrough = on_other,
        };
        g_autofree char *path = g_strdup_printf("%s/%s.xml", INTERFACES_DIR, interface);
        g_autoptr(GMarkupParseContext) context = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;

        *reader = (Reader){
                .lines = g_ptr_array_new_with_free_func(g_free),
                .undocumented = g_ptr_array_new_with_free_func(g_free),
                .in = g_string_new(NULL),
                .out = g_string_new(NULL),
        };
        context = g_markup_parse_context_new(&parser, 0, reader, NULL);

        (void)g_file_get_contents(path, &text, NULL, &error);
        g_assert_no_error(error);
        (void)g_markup_parse_context_parse(context, text, -1, &error);
        g_assert_no_error(error);
        (void)g_markup_parse_context_end_parse(context, &error);
        g_assert_no_error(error);
}

/* ---- the tests ---- */

static void members_are_the_same(gconstpointer data) {
        const Interface *interface = data;
        g_autoptr(GPtrArray) lines = lines_of_vtable(interface->vtable);
        g_autofree char *ours = lines_join(lines);
        g_autofree char *documented = NULL;
        Reader reader;

        reader_read(&reader, interface->name);
        documented = lines_join(reader.lines);
        g_assert_cmpstr(reader.interface, ==, interface->name);
        g_assert_cmpuint(reader.lines->len, >, 4);
        g_assert_cmpstr(ours, ==, documented);
        reader_done(&reader);
}

static void members_are_documented(gconstpointer data) {
        const Interface *interface = data;
        g_autofree char *undocumented = NULL;
        Reader reader;

        reader_read(&reader, interface->name);
        undocumented = lines_join(reader.undocumented);
        g_assert_cmpstr(undocumented, ==, "");
        reader_done(&reader);
}

/* sd-bus would ask for CAP_SYS_ADMIN where this is missing, and wipe nothing where that is. */
static void methods_ask_for_themselves(gconstpointer data) {
        static const char *const secret[] = {"ProvidePsk",
                                             "SetCookieGeneratorParameters",
                                             "GetCookieGeneratorParameters",
                                             "WriteDatagramEncrypted",
                                             "ReadDatagram",
                                             "ExportKeyingMaterial",
                                             "GetSessionTicket",
                                             NULL};
        const Interface *interface = data;

        for (const sd_bus_vtable *row = next_row(interface->vtable); row; row = next_row(row)) {
                if (row->type != _SD_BUS_VTABLE_METHOD)
                        continue;

                g_test_message("%s", row->x.method.member);
                g_assert_true(row->flags & SD_BUS_VTABLE_UNPRIVILEGED);
                /* no arguments: no signature */
                if (g_strrstr(row->x.method.signature ? row->x.method.signature : "", "a{sv}") ||
                    g_strv_contains(secret, row->x.method.member))
                        g_assert_true(row->flags & SD_BUS_VTABLE_SENSITIVE);
        }
}

static void sd_bus_takes_the_table(gconstpointer data) {
        const Interface *interface = data;
        sd_bus *bus;

        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(
                sd_bus_add_object_vtable(bus, NULL, "/x", interface->name, interface->vtable, NULL),
                >=, 0);
        (void)sd_bus_unref(bus);
}

int main(int argc, char **argv) {
        static const struct {
                const char *what;
                GTestDataFunc run;
        } cases[] = {
                {"has-the-members-of-its-xml", members_are_the_same},
                {"documents-each-member-its-arguments-and-how-it-fails", members_are_documented},
                {"lets-every-user-call-and-wipes-what-is-secret", methods_ask_for_themselves},
                {"is-a-table-that-sd-bus-takes", sd_bus_takes_the_table},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++)
                for (size_t j = 0; j < G_N_ELEMENTS(cases); j++) {
                        g_autofree char *path = g_strdup_printf(
                                "/interfaces/%s/%s", strrchr(interfaces[i].name, '.') + 1,
                                cases[j].what);

                        g_test_add_data_func(path, &interfaces[i], cases[j].run);
                }
        return g_test_run();
}
