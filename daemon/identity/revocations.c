/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Revocations, see revocations.h. */

#include "identity/revocations.h"
#include "base/fault.h"
#include "identity/certificate.h"
#include "identity/der.h"
#include "identity/facts.h"
#include "identity/pem.h"
#include "identity/revocation-list.h"

#include <string.h>

#define SHA256_SIZE 32

struct Revocations {
        grefcount n_refs;
        GHashTable *denied; /* GBytes of SHA256_SIZE */
        GHashTable *lists;  /* issuer's name (GBytes, DER): GPtrArray of RevocationList */
        size_t n_serials;
        GPtrArray *parts;         /* of Revocations, referenced: these count too; NULL: none */
        Revocations *all;         /* whom these took stays so; NULL: none */
        size_t n_denied, n_lists; /* with theirs */
        bool unknown;             /* there is more, that cannot be read */
};

const char *revocations_outcome_text(RevocationsOutcome outcome) {
        switch (outcome) {
        case REVOCATIONS_E_MALFORMED:
                return "not a revocation list (CRL) in PEM or DER, or a damaged one";
        case REVOCATIONS_E_UNSUPPORTED:
                return "a revocation list with a critical extension, as partial and indirect lists "
                       "have: give a whole one";
        case REVOCATIONS_E_WEAK:
                return "a revocation list whose signature is of an algorithm that is broken, or "
                       "cannot be checked here";
        case REVOCATIONS_E_TOO_MANY:
                return "more than the service keeps together: 1024 lists with 2 million "
                       "certificates, and 100000 hashes";
        case REVOCATIONS_E_NO_HASH:
                return "not a SHA-256 in hexadecimal, 64 digits";
        case REVOCATIONS_E_TOO_MUCH:
                return "more than 256 KiB as text, lists in PEM: make several entries, or name "
                       "longer lists in dtlsd.conf";
        }

        g_assert_not_reached();
}

/* ---- birth and death ---- */

Revocations *revocations_new(void) {
        Revocations *revocations = g_new0(Revocations, 1);

        g_ref_count_init(&revocations->n_refs);
        revocations->denied = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
                                                    (GDestroyNotify)g_bytes_unref, NULL);
        revocations->lists =
                g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref,
                                      (GDestroyNotify)g_ptr_array_unref);
        return revocations;
}

Revocations *revocations_new_unknown(void) {
        Revocations *revocations = revocations_new();

        revocations->unknown = true;
        return revocations;
}

static void part_unref(void *part) {
        revocations_unref(part);
}

Revocations *revocations_join(Revocations *const *parts, size_t n_parts) {
        Revocations *revocations = revocations_new();

        revocations->parts = g_ptr_array_new_with_free_func(part_unref);
        for (size_t i = 0; i < n_parts; i++) {
                g_ptr_array_add(revocations->parts, revocations_ref(parts[i]));
                revocations->n_denied += parts[i]->n_denied;
                revocations->n_lists += parts[i]->n_lists;
                revocations->unknown |= parts[i]->unknown;
        }

        return revocations;
}

Revocations *revocations_join_own(Revocations *all, Revocations *own) {
        Revocations *joined = revocations_join((Revocations *[]){all, own}, 2);

        joined->all = revocations_ref(all);
        return joined;
}

Revocations *revocations_ref(Revocations *revocations) {
        g_ref_count_inc(&revocations->n_refs);
        return revocations;
}

Revocations *revocations_unref(Revocations *revocations) {
        if (!revocations || !g_ref_count_dec(&revocations->n_refs))
                return NULL;

        g_hash_table_unref(revocations->denied);
        g_hash_table_unref(revocations->lists);
        g_clear_pointer(&revocations->parts, g_ptr_array_unref);
        revocations_unref(revocations->all);
        g_free(revocations);
        return NULL;
}

/* ---- the deny list ---- */

GBytes *revocations_read_hash(const char *text) {
        uint8_t hash[SHA256_SIZE] = {0};
        size_t n_digits = 0;

        for (; *text; text++) {
                int digit = g_ascii_xdigit_value(*text);

                if (*text == ':')
                        continue;
                if (digit < 0 || n_digits >= 2 * sizeof(hash))
                        return NULL;

                hash[n_digits / 2] = (uint8_t)(hash[n_digits / 2] << 4 | digit);
                n_digits++;
        }

        return n_digits == 2 * sizeof(hash) ? g_bytes_new(hash, sizeof(hash)) : NULL;
}

char *revocations_hash_text(GBytes *hash) {
        static const char digits[] = "0123456789abcdef";
        const uint8_t *data = g_bytes_get_data(hash, NULL);
        char *text = g_malloc0(2 * SHA256_SIZE + 1);

        for (size_t i = 0; i < SHA256_SIZE; i++) {
                text[2 * i] = digits[data[i] >> 4];
                text[2 * i + 1] = digits[data[i] & 0xf];
        }

        return text;
}

int revocations_add_denied(Revocations *revocations, GBytes *text, size_t *ret_n_bad,
                           size_t *ret_bad) {
        gsize size;
        const char *data = g_bytes_get_data(text, &size);
        g_autoptr(GString) copy = g_string_new_len(data, (gssize)size);
        char *rest = copy->str, *line;
        size_t n_bad = 0, bad = 0;

        /* a NUL would end the list, and what is behind it would be let in */
        for (gsize i = 0; i < size; i++)
                if (copy->str[i] == '\0')
                        copy->str[i] = '?';

        for (size_t i = 1; (line = strsep(&rest, "\n")); i++) {
                GBytes *hash;

                line[strcspn(line, "#")] = '\0';
                if (*g_strstrip(line) == '\0')
                        continue;

                hash = revocations_read_hash(line);
                if (hash && g_hash_table_size(revocations->denied) >= REVOCATIONS_DENIED_MAX) {
                        g_bytes_unref(hash);
                        return REVOCATIONS_E_TOO_MANY;
                }
                if (hash)
                        g_hash_table_add(revocations->denied, hash);
                else if (n_bad++ == 0)
                        bad = i;
        }

        revocations->n_denied = g_hash_table_size(revocations->denied);
        *ret_n_bad = n_bad;
        *ret_bad = bad;
        return 0;
}

static bool denied_has(const Revocations *revocations, GBytes *hash) {
        bool found = g_hash_table_contains(revocations->denied, hash);

        for (guint i = 0; !found && revocations->parts && i < revocations->parts->len; i++)
                found = denied_has(revocations->parts->pdata[i], hash);
        return found;
}

static bool denied_has_bytes(const Revocations *revocations, const uint8_t *hash) {
        g_autoptr(GBytes) key = g_bytes_new_static(hash, SHA256_SIZE);

        return denied_has(revocations, key);
}

bool revocations_deny(const Revocations *revocations, gnutls_x509_crt_t certificate) {
        uint8_t hash[SHA256_SIZE] = {0};
        size_t size = sizeof(hash);

        if (revocations->n_denied == 0)
                return false;
        if (gnutls_x509_crt_get_fingerprint(certificate, GNUTLS_DIG_SHA256, hash, &size) >= 0 &&
            denied_has_bytes(revocations, hash))
                return true;

        size = sizeof(hash);
        return gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, hash, &size) >= 0 &&
               denied_has_bytes(revocations, hash);
}

/* ---- reading lists ---- */

static void revocations_keep(Revocations *revocations, RevocationList *list) {
        GPtrArray *lists = g_hash_table_lookup(revocations->lists, list->issuer);

        if (!lists) {
                lists = g_ptr_array_new_with_free_func((GDestroyNotify)revocation_list_free);
                g_hash_table_insert(revocations->lists, g_bytes_ref(list->issuer), lists);
        }

        g_ptr_array_add(lists, list);
        revocations->n_lists++;
        revocations->n_serials += list->serials->len;
}

static int revocations_add(Revocations *revocations, GBytes *der) {
        RevocationList *list;
        int r;

        if (revocations->n_lists >= REVOCATIONS_LISTS_MAX)
                return REVOCATIONS_E_TOO_MANY;

        r = revocation_list_new(der, REVOCATIONS_SERIALS_MAX - revocations->n_serials, &list);
        if (r)
                return r;

        revocations_keep(revocations, list);
        return 0;
}

int revocations_split_lists(GBytes *blob, GPtrArray *ders) {
        gsize size;
        const uint8_t *data = g_bytes_get_data(blob, &size);

        /* none is shorter than 128 bytes, so its length has the long form; text may begin with a 0
         */
        if (size > 1 && data[0] == DER_SEQUENCE && data[1] & 0x80) {
                g_ptr_array_add(ders, g_bytes_ref(blob));
                return 0;
        }

        switch ((PemOutcome)pem_split(blob, "X509 CRL", REVOCATIONS_LISTS_MAX, ders)) {
        case PEM_E_MALFORMED:
                return REVOCATIONS_E_MALFORMED;
        case PEM_E_TOO_MANY:
                return REVOCATIONS_E_TOO_MANY;
        }

        return 0;
}

int revocations_add_lists(Revocations *revocations, GBytes *blob) {
        g_autoptr(GPtrArray) ders = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        int r;

        r = revocations_split_lists(blob, ders);
        for (size_t i = 0; r == 0 && i < ders->len; i++)
                r = revocations_add(revocations, ders->pdata[i]);

        return r < 0 ? fault(r) : r;
}

/* ---- asking ---- */

static bool issuer_may_revoke(gnutls_x509_crt_t issuer) {
        unsigned usage;

        return gnutls_x509_crt_get_key_usage(issuer, &usage, NULL) < 0 ||
               usage & GNUTLS_KEY_CRL_SIGN;
}

/* The newest of its lists, or NULL. */
static const RevocationList *issuer_find_list(gnutls_x509_crt_t issuer, const GPtrArray *lists) {
        const RevocationList *found = NULL;
        gnutls_pubkey_t key;

        if (!issuer_may_revoke(issuer) || gnutls_pubkey_init(&key) < 0)
                return NULL;

        if (gnutls_pubkey_import_x509(key, issuer, 0) >= 0)
                for (size_t i = 0; !found && i < lists->len; i++)
                        if (revocation_list_is_signed_by(lists->pdata[i], key))
                                found = lists->pdata[i];

        gnutls_pubkey_deinit(key);
        return found;
}

static int list_compare(gconstpointer a, gconstpointer b) {
        const RevocationList *left = *(RevocationList *const *)a;
        const RevocationList *right = *(RevocationList *const *)b;

        return (left->begin < right->begin) - (left->begin > right->begin);
}

static void lists_collect(const Revocations *revocations, GBytes *issuer, GPtrArray *to) {
        GPtrArray *lists = g_hash_table_lookup(revocations->lists, issuer);

        for (guint i = 0; lists && i < lists->len; i++)
                g_ptr_array_add(to, lists->pdata[i]);
        for (guint i = 0; revocations->parts && i < revocations->parts->len; i++)
                lists_collect(revocations->parts->pdata[i], issuer, to);
}

/* In its name, the newest first; borrowed. */
static GPtrArray *lists_of(const Revocations *revocations, gnutls_x509_crt_t issuer) {
        GPtrArray *lists = g_ptr_array_new();
        g_autoptr(GBytes) name = NULL;
        gnutls_datum_t datum;

        if (!issuer || revocations->n_lists == 0 || gnutls_x509_crt_get_raw_dn(issuer, &datum) < 0)
                return lists;

        name = g_bytes_new_with_free_func(datum.data, datum.size, gnutls_free, datum.data);
        lists_collect(revocations, name, lists);
        g_ptr_array_sort(lists, list_compare);
        return lists;
}

static RevocationsStatus lists_ask(const Revocations *revocations, gnutls_x509_crt_t certificate,
                                   gnutls_x509_crt_t issuer) {
        g_autoptr(GPtrArray) lists = lists_of(revocations, issuer);
        const RevocationList *list = lists->len > 0 ? issuer_find_list(issuer, lists) : NULL;
        time_t now = time(NULL);

        if (list && revocation_list_has(list, certificate))
                return REVOCATIONS_REVOKED; /* also by one that is out of date */
        if (revocations->unknown)
                return REVOCATIONS_UNKNOWN;
        if (lists->len == 0)
                return REVOCATIONS_SILENT;
        if (!list || now < list->begin || (list->end != (time_t)-1 && now > list->end))
                return REVOCATIONS_UNKNOWN;

        return REVOCATIONS_GOOD;
}

RevocationsStatus revocations_ask(const Revocations *revocations, gnutls_x509_crt_t certificate,
                                  gnutls_x509_crt_t issuer) {
        if (revocations->all &&
            lists_ask(revocations->all, certificate, issuer) == REVOCATIONS_REVOKED)
                return REVOCATIONS_REVOKED;

        return lists_ask(revocations, certificate, issuer);
}

/* ---- for people ---- */

static void facts_free(void *data) {
        RevocationFacts *facts = data;

        g_free(facts->issuer);
        g_free(facts);
}

static uint64_t facts_usec(time_t when) {
        return when > 0 ? (uint64_t)when * G_USEC_PER_SEC : 0;
}

static RevocationFacts *facts_new(const RevocationList *list) {
        RevocationFacts *facts = g_new0(RevocationFacts, 1);

        facts->issuer = facts_name(list->issuer);
        facts->begin_usec = facts_usec(list->begin);
        facts->end_usec = facts_usec(list->end);
        facts->n_certificates = list->serials->len;
        return facts;
}

static int facts_compare(gconstpointer a, gconstpointer b) {
        const RevocationFacts *left = *(RevocationFacts *const *)a;
        const RevocationFacts *right = *(RevocationFacts *const *)b;
        int order = strcmp(left->issuer, right->issuer);

        return order ? order
                     : (left->begin_usec > right->begin_usec) -
                               (left->begin_usec < right->begin_usec);
}

GPtrArray *revocations_facts(const Revocations *revocations) {
        GPtrArray *all = g_ptr_array_new_with_free_func(facts_free);
        GHashTableIter iter;
        void *value;

        g_hash_table_iter_init(&iter, revocations->lists);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                GPtrArray *lists = value;

                for (guint i = 0; i < lists->len; i++)
                        g_ptr_array_add(all, facts_new(lists->pdata[i]));
        }

        g_ptr_array_sort(all, facts_compare);
        return all;
}

static int hash_compare(gconstpointer a, gconstpointer b) {
        return g_bytes_compare(*(GBytes *const *)a, *(GBytes *const *)b);
}

GPtrArray *revocations_denied(const Revocations *revocations) {
        g_autoptr(GList) keys = g_hash_table_get_keys(revocations->denied);
        GPtrArray *hashes = g_ptr_array_new();

        for (GList *i = keys; i; i = i->next)
                g_ptr_array_add(hashes, i->data);
        g_ptr_array_sort(hashes, hash_compare);
        return hashes;
}

size_t revocations_count_lists(const Revocations *revocations) {
        return revocations->n_lists;
}

size_t revocations_count_denied(const Revocations *revocations) {
        return revocations->n_denied;
}
