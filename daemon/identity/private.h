/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the verdict see of each other; no other room includes this. */

#include "identity/chain.h"
#include "identity/verdict.h"

#include <gnutls/x509.h>

/* What the peer sent, in its order. */
typedef struct Sent {
        gnutls_x509_crt_t certificates[CHAIN_LENGTH_MAX];
        size_t length;
} Sent;

/* As much of it as leads from the leaf towards an anchor. */
typedef struct Path {
        gnutls_x509_crt_t certificates[CHAIN_LENGTH_MAX]; /* of Sent */
        GBytes *ders[CHAIN_LENGTH_MAX];                   /* of the question */
        size_t length;

        gnutls_x509_crt_t anchor; /* who issued the last one, owned; or NULL */
        bool trusted;             /* the last one was issued by an anchor, or is one */
} Path;

/* ---- verdict-errors.c ---- */

bool verdict_errors_have(const GArray *errors, VerdictCode code, GBytes *certificate);

/* ---- verdict-path.c ---- */

/* What cannot be read, or would take too long, is an error of its own; then nothing else is. */
int sent_read(Sent *sent, GPtrArray *chain, GArray *errors);
void sent_done(Sent *sent);
void path_build(Path *path, const Sent *sent, const VerdictQuestion *question);
void path_done(Path *path);
bool path_is_self_issued(const Path *path, size_t i);
/* Who issued certificate @i of the path, and its DER, to be freed; or NULL. */
gnutls_x509_crt_t path_issuer(const Path *path, size_t i);
GBytes *path_issuer_der(const Path *path, size_t i);
/* Asked for its size, GnuTLS decodes it. */
bool verdict_key_is_decodable(gnutls_x509_crt_t certificate);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sent, sent_done)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Path, path_done)

/* ---- verdict-links.c ---- */

/* What is wrong with who issued whom, from the leaf to an anchor. */
int verdict_chain(GArray *errors, Path *path, const Trust *trust);
