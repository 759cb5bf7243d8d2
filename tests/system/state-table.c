/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "state-table.h"

#include <stdbool.h>
#include <string.h>

static void state_row_free(gpointer data) {
        StateRow *row = data;

        g_free(row->call);
        g_strfreev(row->cells);
        g_free(row);
}

static char *without_ticks(const char *text) {
        g_auto(GStrv) parts = g_strsplit(text, "`", -1);

        return g_strjoinv("", parts);
}

/* The cells of a line "| a | b |". */
static GStrv line_cells(const char *line) {
        g_autofree char *inner = g_strndup(line + 1, strlen(line) - 2);
        GStrv cells = g_strsplit(inner, "|", -1);

        for (size_t i = 0; cells[i]; i++)
                (void)g_strstrip(cells[i]);
        return cells;
}

static void state_table_add(StateTable *table, const char *line) {
        g_auto(GStrv) cells = line_cells(line);
        StateRow *row;

        if (!table->states) {
                table->states = g_strdupv(cells + 1);
                return;
        }

        g_assert_cmpuint(g_strv_length(cells), ==, g_strv_length(table->states) + 1);
        row = g_new0(StateRow, 1);
        row->call = without_ticks(cells[0]);
        row->cells = g_strdupv(cells + 1);
        if (state_table_find(table, row->call))
                g_error("%s has two rows", row->call);
        g_ptr_array_add(table->rows, row);
}

StateTable *state_table_read(const char *text, const char *before) {
        const char *section = strstr(text, before);
        StateTable *table = g_new0(StateTable, 1);
        g_auto(GStrv) lines = NULL;
        size_t i = 0;

        g_assert_nonnull(section);
        table->rows = g_ptr_array_new_with_free_func(state_row_free);
        lines = g_strsplit(section, "\n", -1);
        while (lines[i] && !g_str_has_prefix(lines[i], "|"))
                i++;
        for (; lines[i] && g_str_has_prefix(lines[i], "|"); i++)
                if (!g_str_has_prefix(lines[i], "|--"))
                        state_table_add(table, lines[i]);

        g_assert_cmpuint(table->rows->len, >, 0);
        return table;
}

StateTable *state_table_free(StateTable *table) {
        if (!table)
                return NULL;

        g_strfreev(table->states);
        g_ptr_array_unref(table->rows);
        g_free(table);
        return NULL;
}

const StateRow *state_table_find(const StateTable *table, const char *call) {
        for (guint i = 0; i < table->rows->len; i++) {
                const StateRow *row = g_ptr_array_index(table->rows, i);

                if (g_str_equal(row->call, call))
                        return row;
        }

        return NULL;
}

char *state_row_method(const StateRow *row) {
        return g_strndup(row->call, strcspn(row->call, ","));
}

StateClause state_clause_parse(const char *text, const char *const *roles) {
        const char *colon = strstr(text, ": ");
        g_autofree char *when = g_strndup(text, colon ? (size_t)(colon - text) : 0);
        g_auto(GStrv) words = g_strsplit(when, ", ", 2);
        g_auto(GStrv) who = g_strsplit(words[0] ? words[0] : "", " and ", -1);
        bool has_role = who[0] && g_strv_contains(roles, who[0]);
        const char *situation = has_role ? words[1] : words[0];

        return (StateClause){
                .who = has_role ? g_steal_pointer(&who) : NULL,
                .situation = g_strdup(situation ? situation : ""),
                .outcome = without_ticks(colon ? colon + 2 : text),
        };
}

void state_clause_done(StateClause *clause) {
        g_strfreev(clause->who);
        g_free(clause->situation);
        g_free(clause->outcome);
}
