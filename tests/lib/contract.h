/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Contract: every method on the bus as interfaces/ has it: its arguments from the XML, who may call
 * it and what policy is asked from the table of the README; and, in contract.calls, calls of each
 * that are in order, so that nothing but a want of permission can refuse them.
 */

#include <glib.h>
#include <systemd/sd-bus.h>

typedef struct ContractMethod {
        char *name; /* "Manager.Connect" */
        char *signature;
        char *who;    /* "owner, `control`"; NULL: the table does not say */
        char **verbs; /* "connect", "listen", … */
} ContractMethod;

typedef struct ContractCall {
        const ContractMethod *method;
        char *verb;      /* NULL: policy is not asked */
        char *arguments; /* as text */
} ContractCall;

typedef struct Contract {
        GPtrArray *methods; /* of ContractMethod */
        GPtrArray *calls;   /* of ContractCall */
} Contract;

/* The test ends where the table, or a call, is about no method. */
Contract *contract_new(void);
Contract *contract_free(Contract *contract);
/* The test ends where there is none. */
const ContractMethod *contract_find(const Contract *contract, const char *name);

/* @arguments: the call's, or what a test has made of them. */
void contract_append(sd_bus_message *m, const ContractCall *call, const char *arguments);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Contract, contract_free)
