/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/contract.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define INTERFACE_PREFIX "io.github.dtlsd.Dtlsd1."

/* ---- the XML ---- */

static const char *attribute(const char **names, const char **values, const char *name) {
        for (size_t i = 0; names[i]; i++)
                if (strcmp(names[i], name) == 0)
                        return values[i];

        return NULL;
}

typedef struct Reader {
        GPtrArray *methods; /* of ContractMethod */
        char *interface;    /* its last word */
        ContractMethod *open;
} Reader;

static void on_start(GMarkupParseContext *context, const char *element, const char **names,
                     const char **values, gpointer userdata, GError **error) {
        Reader *reader = userdata;
        const char *name = attribute(names, values, "name");

        if (strcmp(element, "interface") == 0) {
                g_free(reader->interface);
                reader->interface = g_strdup(strrchr(name, '.') + 1);
        } else if (strcmp(element, "method") == 0) {
                reader->open = g_new0(ContractMethod, 1);
                reader->open->name = g_strdup_printf("%s.%s", reader->interface, name);
                reader->open->signature = g_strdup("");
                g_ptr_array_add(reader->methods, reader->open);
        } else if (strcmp(element, "arg") == 0 && reader->open &&
                   g_strcmp0(attribute(names, values, "direction"), "out") != 0) {
                g_autofree char *before = reader->open->signature;

                reader->open->signature =
                        g_strconcat(before, attribute(names, values, "type"), NULL);
        }
}

static void on_end(GMarkupParseContext *context, const char *element, gpointer userdata,
                   GError **error) {
        Reader *reader = userdata;

        if (strcmp(element, "method") == 0)
                reader->open = NULL;
}

static void reader_read(Reader *reader, const char *interface) {
        static const GMarkupParser parser = {.start_element = on_start, .end_element = on_end};
        g_autofree char *path =
                g_strdup_printf(INTERFACES_DIR "/" INTERFACE_PREFIX "%s.xml", interface);
        g_autoptr(GMarkupParseContext) context = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;

        context = g_markup_parse_context_new(&parser, 0, reader, NULL);
        (void)g_file_get_contents(path, &text, NULL, &error);
        g_assert_no_error(error);
        (void)g_markup_parse_context_parse(context, text, -1, &error);
        g_assert_no_error(error);
}

/* ---- the table of who may ---- */

static char **read_verbs(const char *cell) {
        g_autoptr(GRegex) word = g_regex_new("`([a-z-]+)`", 0, 0, NULL);
        g_autoptr(GMatchInfo) match = NULL;
        g_autoptr(GPtrArray) verbs = g_ptr_array_new();

        for (g_regex_match(word, cell, 0, &match); g_match_info_matches(match);
             g_match_info_next(match, NULL))
                g_ptr_array_add(verbs, g_match_info_fetch(match, 1));

        g_ptr_array_add(verbs, NULL);
        return (char **)g_ptr_array_steal(verbs, NULL);
}

static ContractMethod *methods_find(const GPtrArray *methods, const char *name) {
        for (guint i = 0; i < methods->len; i++) {
                ContractMethod *method = methods->pdata[i];

                if (g_str_equal(method->name, name))
                        return method;
        }

        g_error("there is no method %s in the XML", name);
}

const ContractMethod *contract_find(const Contract *contract, const char *name) {
        return methods_find(contract->methods, name);
}

static void read_table(const GPtrArray *methods) {
        g_autoptr(GRegex) row = g_regex_new(
                "^\\| `((?:Manager|Connection|Listener|ClientVerifier)\\.\\w+)` \\| ([^|]*) \\|"
                "([^|]*)\\|$",
                G_REGEX_MULTILINE, 0, NULL);
        g_autoptr(GMatchInfo) match = NULL;
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(INTERFACES_DIR "/README.md", &text, NULL, NULL));
        for (g_regex_match(row, text, 0, &match); g_match_info_matches(match);
             g_match_info_next(match, NULL)) {
                g_autofree char *name = g_match_info_fetch(match, 1);
                g_autofree char *verbs = g_match_info_fetch(match, 3);
                ContractMethod *method = methods_find(methods, name);

                if (method->who)
                        g_error("the table has %s twice", name);
                method->who = g_match_info_fetch(match, 2);
                method->verbs = read_verbs(verbs);
        }
}

static void method_free(gpointer data) {
        ContractMethod *method = data;

        g_free(method->name);
        g_free(method->signature);
        g_free(method->who);
        g_strfreev(method->verbs);
        g_free(method);
}

/* ---- calls that are in order ---- */

static void call_free(gpointer data) {
        ContractCall *call = data;

        g_free(call->verb);
        g_free(call->arguments);
        g_free(call);
}

static void read_call(Contract *contract, const char *line) {
        g_autoptr(GRegex) form = g_regex_new("^([\\w.]+) +([a-z-]+) +(\\(.*\\))$", 0, 0, NULL);
        g_autoptr(GMatchInfo) match = NULL;
        g_autofree char *name = NULL;
        ContractCall *call;

        if (!g_regex_match(form, line, 0, &match))
                g_error("'%s' is no call", line);

        name = g_match_info_fetch(match, 1);
        call = g_new0(ContractCall, 1);
        call->method = methods_find(contract->methods, name);
        call->verb = g_match_info_fetch(match, 2);
        call->arguments = g_match_info_fetch(match, 3);
        if (g_str_equal(call->verb, "-"))
                g_clear_pointer(&call->verb, g_free);
        g_ptr_array_add(contract->calls, call);
}

static void read_calls(Contract *contract) {
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;

        g_assert_true(g_file_get_contents(CONTRACT_CALLS, &text, NULL, NULL));
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++)
                if (**line != '#' && **line != '\0')
                        read_call(contract, *line);
}

/* ---- the whole ---- */

Contract *contract_new(void) {
        static const char *const interfaces[] = {"Manager", "Connection", "Identity", "Listener",
                                                 "ClientVerifier"};
        Contract *contract = g_new0(Contract, 1);
        Reader reader = {.methods = g_ptr_array_new_with_free_func(method_free)};

        for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++)
                reader_read(&reader, interfaces[i]);
        g_free(reader.interface);

        contract->methods = reader.methods;
        contract->calls = g_ptr_array_new_with_free_func(call_free);
        read_table(contract->methods);
        read_calls(contract);
        return contract;
}

Contract *contract_free(Contract *contract) {
        (void)g_ptr_array_unref(contract->calls);
        (void)g_ptr_array_unref(contract->methods);
        g_free(contract);
        return NULL;
}

/* ---- calling ---- */

static int sealed_secret(void) {
        int fd = memfd_create("secret", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(write(fd, "sixteen bytes ok", 16), ==, 16);
        g_assert_cmpint(
                fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
                ==, 0);
        return fd;
}

static void append_basic(sd_bus_message *m, GVariant *value, char type) {
        union {
                uint8_t byte;
                int32_t boolean;
                uint64_t number;
        } basic = {.number = 0};
        int fd, r;

        if (type == 'h') {
                fd = sealed_secret();
                r = sd_bus_message_append_basic(m, type, &fd); /* a duplicate of it */
                (void)close(fd);
        } else if (strchr("sog", type)) {
                r = sd_bus_message_append_basic(m, type, g_variant_get_string(value, NULL));
        } else {
                if (type == 'b')
                        basic.boolean = g_variant_get_boolean(value);
                else
                        memcpy(&basic, g_variant_get_data(value), g_variant_get_size(value));
                r = sd_bus_message_append_basic(m, type, &basic);
        }
        g_assert_cmpint(r, >=, 0);
}

static void append_value(sd_bus_message *m, GVariant *value) {
        const char *type = g_variant_get_type_string(value);
        g_autofree char *contents = NULL;
        char container = *type;

        if (!g_variant_is_container(value)) {
                append_basic(m, value, *type);
                return;
        }

        if (container == 'v') {
                g_autoptr(GVariant) inner = g_variant_get_variant(value);

                contents = g_strdup(g_variant_get_type_string(inner));
        } else if (container == 'a') {
                contents = g_strdup(type + 1);
        } else {
                contents = g_strndup(type + 1, strlen(type) - 2);
                container = container == '(' ? 'r' : 'e';
        }

        g_assert_cmpint(sd_bus_message_open_container(m, container, contents), >=, 0);
        for (gsize i = 0; i < g_variant_n_children(value); i++) {
                g_autoptr(GVariant) child = g_variant_get_child_value(value, i);

                append_value(m, child);
        }
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
}

void contract_append(sd_bus_message *m, const ContractCall *call, const char *arguments) {
        g_autofree char *type = g_strdup_printf("(%s)", call->method->signature);
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) tuple =
                g_variant_parse(G_VARIANT_TYPE(type), arguments, NULL, NULL, &error);

        g_assert_no_error(error);
        for (gsize i = 0; i < g_variant_n_children(tuple); i++) {
                g_autoptr(GVariant) argument = g_variant_get_child_value(tuple, i);

                append_value(m, argument);
        }
}
