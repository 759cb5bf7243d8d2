/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * StateTable: one of the tables of states in interfaces/README.md, as it can be read: a row is a
 * method, with how it is called when that matters; its cells say what comes of it in each state.
 *
 * Knows: the form of these tables. Does not know: connections, what any of it means.
 */

#include <glib.h>

typedef struct StateRow {
        char *call;  /* "Method" or "Method, how" */
        GStrv cells; /* one a state, in the order of the head */
} StateRow;

typedef struct StateTable {
        GStrv states;    /* the head of the table */
        GPtrArray *rows; /* of StateRow */
} StateTable;

/* A part of a cell, "WHO and WHO, SITUATION: OUTCOME", of which all but the last may be missing.
 * The outcome: "works", "true", "false", "op", "ERROR", "→ STATE", "→ STATE with ERROR". */
typedef struct StateClause {
        GStrv who; /* NULL: all */
        char *situation, *outcome;
} StateClause;

/* The first table after the line that begins so; the test ends when there is none. */
StateTable *state_table_read(const char *text, const char *before);
StateTable *state_table_free(StateTable *table);
/* NULL: it has no such row. */
const StateRow *state_table_find(const StateTable *table, const char *call);
/* "Method" */
char *state_row_method(const StateRow *row);

/* @roles: what can be a WHO. */
StateClause state_clause_parse(const char *text, const char *const *roles);
void state_clause_done(StateClause *clause);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(StateTable, state_table_free)
