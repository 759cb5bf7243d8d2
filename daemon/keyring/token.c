/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Token, see token.h. */

#include "keyring/token.h"

#include "base/fault.h"
#include "keyring/journal.h"

#include <errno.h>
#include <gnutls/pkcs11.h>
#include <string.h>

#define TOKEN_SCHEME "pkcs11:"
/* How soon again modules are reloaded where that ends the sessions of others, who then log in anew:
 * a token that is away may not hold up those that are there. */
#define MODULES_RELOAD_USEC (5 * G_USEC_PER_SEC)

struct Token {
        Secret *uri, *pin; /* each with a NUL behind it; no PIN: NULL */
        gnutls_pubkey_t public;
        gnutls_pk_algorithm_t algorithm;

        GMutex lock;              /* who signs; what is below is touched under modules.lock too */
        gnutls_privkey_t private; /* NULL: not found, or not looked for yet */
};

/* ---- modules: GnuTLS has one set of them for the process, and so has this ---- */

static struct {
        char **paths;
        GRWLock lock;    /* to write: modules come and go, and nobody uses a key */
        bool *is_loaded; /* of each path */
        bool *is_told;   /* that it cannot be loaded */
        GMutex open_lock;
        GHashTable *open; /* a set of Tokens whose key was found */
        gint64 reloaded_usec;
} modules;

void token_allow_modules(char **paths) {
        /* nothing by p11-kit's configuration, however a URI gets in here */
        (void)gnutls_pkcs11_init(GNUTLS_PKCS11_FLAG_MANUAL, NULL);
        modules.paths = g_strdupv(paths);
        modules.is_loaded = g_new0(bool, paths ? g_strv_length(paths) : 0);
        modules.is_told = g_new0(bool, paths ? g_strv_length(paths) : 0);
        modules.open = g_hash_table_new(NULL, NULL);
}

static bool modules_are_loaded(void) {
        bool all = true;

        g_rw_lock_reader_lock(&modules.lock);
        for (size_t i = 0; modules.paths && modules.paths[i]; i++)
                all = all && modules.is_loaded[i];
        g_rw_lock_reader_unlock(&modules.lock);
        return all;
}

static void module_load(size_t i) {
        int r = gnutls_pkcs11_add_provider(modules.paths[i], NULL);

        if (r < 0 && !modules.is_told[i])
                journal_module_unusable(modules.paths[i], gnutls_strerror(r));
        modules.is_loaded[i] = r >= 0;
        modules.is_told[i] = r < 0;
}

/* Those that are not there yet; one that fails may succeed another time. */
static void modules_load(void) {
        if (modules_are_loaded())
                return;

        g_rw_lock_writer_lock(&modules.lock);
        for (size_t i = 0; modules.paths && modules.paths[i]; i++)
                if (!modules.is_loaded[i])
                        module_load(i);
        g_rw_lock_writer_unlock(&modules.lock);
}

static void modules_unload(void) {
        GHashTableIter iter;
        gpointer token;

        g_hash_table_iter_init(&iter, modules.open);
        while (g_hash_table_iter_next(&iter, &token, NULL)) {
                g_clear_pointer(&((Token *)token)->private, gnutls_privkey_deinit);
                g_hash_table_iter_remove(&iter);
        }

        gnutls_pkcs11_deinit();
        (void)gnutls_pkcs11_init(GNUTLS_PKCS11_FLAG_MANUAL, NULL);
        for (size_t i = 0; modules.paths && modules.paths[i]; i++)
                modules.is_loaded[i] = false;
}

/* Some modules look for tokens only when they are loaded. */
static void modules_reload(void) {
        gint64 now_usec = g_get_monotonic_time();

        if (!modules.paths || !g_rw_lock_writer_trylock(&modules.lock))
                return;

        if (g_hash_table_size(modules.open) == 0 ||
            now_usec - modules.reloaded_usec >= MODULES_RELOAD_USEC) {
                modules_unload();
                modules.reloaded_usec = now_usec;
        }
        g_rw_lock_writer_unlock(&modules.lock);
        modules_load();
}

/* ---- the key ---- */

static const char *token_refusal(int gnutls_code) {
        switch (gnutls_code) {
        case GNUTLS_E_PKCS11_PIN_ERROR:
        case GNUTLS_E_PKCS11_USER_ERROR:
                return "the token refuses the PIN, or wants one; give it as the passphrase";
        case GNUTLS_E_PKCS11_PIN_LOCKED:
        case GNUTLS_E_PKCS11_PIN_EXPIRED:
                return "the PIN of the token is locked, expired or at its last try; unlock it "
                       "first";
        case GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE:
        case GNUTLS_E_PKCS11_REQUESTED_OBJECT_NOT_AVAILBLE:
                return "no token has a private key of this PKCS#11 URI; is it there?";
        case GNUTLS_E_PKCS11_UNSUPPORTED_FEATURE_ERROR:
                return "the token cannot sign as TLS needs it";
        case GNUTLS_E_PARSING_ERROR:
        case GNUTLS_E_INVALID_REQUEST:
                return "not a PKCS#11 URI (RFC 7512)";
        case GNUTLS_E_PK_SIG_VERIFY_FAILED:
                return "the private key in the token is not that of the first certificate";
        default:
                return "the token failed; is it there?";
        }
}

/* A wrong PIN is tried once, and none is the last try: whoever locks a token locks out everybody.
 */
static int on_token_pin(void *userdata, int attempt, const char *url, const char *label,
                        unsigned flags, char *pin, size_t size) {
        const Token *token = userdata;

        if (flags & GNUTLS_PIN_FINAL_TRY)
                return GNUTLS_E_PKCS11_PIN_LOCKED;
        if (!token->pin || attempt > 0 || flags & GNUTLS_PIN_WRONG ||
            secret_size(token->pin) > size)
                return GNUTLS_E_PKCS11_PIN_ERROR;

        memcpy(pin, secret_peek(token->pin), secret_size(token->pin));
        return 0;
}

/* modules.lock is held, here and below. */
static void token_close(Token *token) {
        if (!token->private)
                return;

        g_clear_pointer(&token->private, gnutls_privkey_deinit);
        g_mutex_lock(&modules.open_lock);
        (void)g_hash_table_remove(modules.open, token);
        g_mutex_unlock(&modules.open_lock);
}

static void token_keep(Token *token, gnutls_privkey_t private) {
        token->private = private;
        g_mutex_lock(&modules.open_lock);
        (void)g_hash_table_add(modules.open, token);
        g_mutex_unlock(&modules.open_lock);
}

/* Something is signed that nothing else can be: it is no hash of a handshake's. */
static int token_prove(const Token *token, gnutls_privkey_t private) {
        static const char text[] = "dtlsd looks whether this is the key of its certificate";
        const gnutls_datum_t data = {(unsigned char *)text, sizeof(text)};
        gnutls_sign_algorithm_t algorithm = gnutls_pk_to_sign(
                token->algorithm, token->algorithm == GNUTLS_PK_EDDSA_ED25519 ? GNUTLS_DIG_SHA512
                                                                              : GNUTLS_DIG_SHA256);
        gnutls_datum_t signature = {NULL, 0};
        int r;

        if (gnutls_privkey_get_pk_algorithm(private, NULL) != (int)token->algorithm)
                return GNUTLS_E_PK_SIG_VERIFY_FAILED;

        r = gnutls_privkey_sign_data2(private, algorithm, /* flags= */ 0, &data, &signature);
        if (r < 0)
                return r;

        r = gnutls_pubkey_verify_data2(token->public, algorithm, /* flags= */ 0, &data, &signature);
        gnutls_free(signature.data);
        return r < 0 ? GNUTLS_E_PK_SIG_VERIFY_FAILED : 0;
}

static int token_find(Token *token) {
        gnutls_privkey_t private;
        int r;

        if (gnutls_privkey_init(&private) < 0)
                return GNUTLS_E_MEMORY_ERROR;

        g_rw_lock_reader_lock(&modules.lock);
        gnutls_privkey_set_pin_function(private, on_token_pin, token);
        r = gnutls_privkey_import_url(private, (const char *)secret_peek(token->uri), 0);
        if (r >= 0)
                r = token_prove(token, private);
        if (r >= 0)
                token_keep(token, private);
        else
                gnutls_privkey_deinit(private);
        g_rw_lock_reader_unlock(&modules.lock);
        return r;
}

static bool token_is_open(Token *token) {
        bool is_open;

        g_rw_lock_reader_lock(&modules.lock);
        is_open = token->private;
        g_rw_lock_reader_unlock(&modules.lock);
        return is_open;
}

/* token->lock is held. Of GnuTLS's codes. */
static int token_open(Token *token) {
        int r;

        if (token_is_open(token))
                return 0;

        modules_load();
        r = token_find(token);
        if (r != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE &&
            r != GNUTLS_E_PKCS11_REQUESTED_OBJECT_NOT_AVAILBLE)
                return r;

        modules_reload();
        return token_find(token);
}

int token_try(Token *token, const char **ret_text) {
        int r;

        if (!modules.paths || !modules.paths[0]) {
                *ret_text = "no PKCS#11 module may be loaded; start the keyring with "
                            "--pkcs11-module";
                return TOKEN_E_UNUSABLE;
        }

        g_mutex_lock(&token->lock);
        r = token_open(token);
        g_mutex_unlock(&token->lock);
        if (r < 0)
                *ret_text = modules_are_loaded() ? token_refusal(r)
                                                 : "a PKCS#11 module cannot be loaded; the "
                                                   "keyring's journal names it";
        return r < 0 ? TOKEN_E_UNUSABLE : 0;
}

static int token_sign_once(Token *token, gnutls_sign_algorithm_t algorithm, bool is_hash,
                           const gnutls_datum_t *input, gnutls_datum_t *ret) {
        int r;

        r = token_open(token);
        if (r < 0)
                return r;

        g_rw_lock_reader_lock(&modules.lock);
        if (!token->private) /* another's reload came between */
                r = GNUTLS_E_AGAIN;
        else if (is_hash)
                r = gnutls_privkey_sign_hash2(token->private, algorithm, /* flags= */ 0, input,
                                              ret);
        else
                r = gnutls_privkey_sign_data2(token->private, algorithm, /* flags= */ 0, input,
                                              ret);
        if (r < 0)
                token_close(token);
        g_rw_lock_reader_unlock(&modules.lock);
        return r;
}

int token_sign(Token *token, gnutls_sign_algorithm_t algorithm, bool is_hash,
               const gnutls_datum_t *input, gnutls_datum_t *ret) {
        bool was_open;
        int r;

        g_mutex_lock(&token->lock);
        was_open = token_is_open(token);
        r = token_sign_once(token, algorithm, is_hash, input, ret);
        /* it may have been taken out and put in since */
        if (r == GNUTLS_E_AGAIN || (r < 0 && was_open))
                r = token_sign_once(token, algorithm, is_hash, input, ret);
        g_mutex_unlock(&token->lock);
        return r < 0 ? TOKEN_E_UNUSABLE : 0;
}

gnutls_pk_algorithm_t token_algorithm(const Token *token) {
        return token->algorithm;
}

/* ---- from a URI and a PIN ---- */

static bool token_curve_is_known(gnutls_pubkey_t public) {
        gnutls_ecc_curve_t curve;

        return gnutls_pubkey_export_ecc_raw2(public, &curve, NULL, NULL, 0) >= 0 &&
               (curve == GNUTLS_ECC_CURVE_SECP256R1 || curve == GNUTLS_ECC_CURVE_SECP384R1 ||
                curve == GNUTLS_ECC_CURVE_SECP521R1);
}

static const char *token_check_key(Token *token, GBytes *spki) {
        gsize size;
        gconstpointer data = g_bytes_get_data(spki, &size);
        const gnutls_datum_t der = {(unsigned char *)data, (unsigned)size};
        unsigned bits;
        int algorithm;

        if (gnutls_pubkey_init(&token->public) < 0 ||
            gnutls_pubkey_import(token->public, &der, GNUTLS_X509_FMT_DER) < 0)
                return "the key of the first certificate cannot be read";

        algorithm = gnutls_pubkey_get_pk_algorithm(token->public, &bits);
        token->algorithm = (gnutls_pk_algorithm_t)algorithm;
        switch (algorithm) {
        case GNUTLS_PK_RSA:
                return bits < 2048 ? "the RSA key is shorter than 2048 bits" : NULL;
        case GNUTLS_PK_ECDSA:
                return token_curve_is_known(token->public)
                               ? NULL
                               : "the ECDSA key is on a curve that is not supported; use P-256, "
                                 "P-384 or P-521";
        case GNUTLS_PK_EDDSA_ED25519:
                return NULL;
        default:
                return "the key is of a type that is not supported; use ECDSA, Ed25519 or RSA";
        }
}

/* Attributes of how to get there, PINs among them, have no place in what is no secret. */
static const char *token_check_uri(const Secret *uri, const Secret *pin) {
        const uint8_t *text = secret_peek(uri);
        size_t size = secret_size(uri);

        if (size > TOKEN_URI_MAX || size <= strlen(TOKEN_SCHEME) ||
            memcmp(text, TOKEN_SCHEME, strlen(TOKEN_SCHEME)) != 0 || memchr(text, '\0', size))
                return "a key's URI begins with pkcs11: and has at most 1024 bytes";
        if (memchr(text, '?', size))
                return "a key's URI has no part behind a question mark; give the PIN as the "
                       "passphrase";
        if (pin &&
            (secret_size(pin) > TOKEN_PIN_MAX || memchr(secret_peek(pin), '\0', secret_size(pin))))
                return "a PIN has at most 255 bytes";

        return NULL;
}

static Secret *with_nul(const Secret *secret) {
        Secret *copy = secret_new_zero(secret_size(secret) + 1);

        memcpy(secret_data(copy), secret_peek(secret), secret_size(secret));
        return copy;
}

int token_new(const Secret *uri, const Secret *pin, GBytes *spki, Token **ret,
              const char **ret_text) {
        g_autoptr(Token) token = g_new0(Token, 1);
        const char *text;

        g_mutex_init(&token->lock);
        text = token_check_uri(uri, pin);
        if (!text)
                text = token_check_key(token, spki);
        if (text) {
                *ret_text = text;
                return TOKEN_E_BAD_URI;
        }

        token->uri = with_nul(uri);
        token->pin = pin ? with_nul(pin) : NULL;
        *ret = g_steal_pointer(&token);
        return 0;
}

Token *token_free(Token *token) {
        if (!token)
                return NULL;

        g_rw_lock_reader_lock(&modules.lock);
        token_close(token);
        g_rw_lock_reader_unlock(&modules.lock);
        if (token->public)
                gnutls_pubkey_deinit(token->public);
        secret_free(token->uri);
        secret_free(token->pin);
        g_mutex_clear(&token->lock);
        g_free(token);
        return NULL;
}

/* ---- to the store and back: URI, NUL, PIN, NUL; without the last two there is none ---- */

int token_write(const Token *token, Secret **ret) {
        size_t n_uri = secret_size(token->uri), n_pin = token->pin ? secret_size(token->pin) : 0;
        g_autoptr(Secret) both = secret_new_zero(n_uri + n_pin);
        gnutls_datum_t data = {secret_data(both), (unsigned)secret_size(both)};
        gnutls_datum_t pem = {NULL, 0};

        memcpy(secret_data(both), secret_peek(token->uri), n_uri);
        if (token->pin)
                memcpy(secret_data(both) + n_uri, secret_peek(token->pin), n_pin);
        if (gnutls_pem_base64_encode2(TOKEN_PEM_LABEL, &data, &pem) < 0)
                return fault(-ENOMEM);

        *ret = secret_new(pem.data, pem.size);
        gnutls_memset(pem.data, 0, pem.size);
        gnutls_free(pem.data);
        return 0;
}

/* A piece that ends with a NUL; NULL: there is none. */
static Secret *take_piece(const gnutls_datum_t *data, size_t from) {
        const uint8_t *start = data->data + from;
        const uint8_t *end = from < data->size ? memchr(start, '\0', data->size - from) : NULL;

        return end ? secret_new(start, (size_t)(end - start)) : NULL;
}

int token_read(const Secret *text, GBytes *spki, Token **ret, const char **ret_text) {
        gnutls_datum_t pem = {(unsigned char *)secret_peek(text), (unsigned)secret_size(text)};
        g_autoptr(Secret) uri = NULL, pin = NULL;
        gnutls_datum_t both = {NULL, 0};

        if (gnutls_pem_base64_decode2(TOKEN_PEM_LABEL, &pem, &both) >= 0) {
                uri = take_piece(&both, 0);
                pin = uri ? take_piece(&both, secret_size(uri) + 1) : NULL;
                gnutls_memset(both.data, 0, both.size);
                gnutls_free(both.data);
        }
        if (!uri) {
                *ret_text = "the URI of its key cannot be read";
                return TOKEN_E_BAD_URI;
        }

        return token_new(uri, pin, spki, ret, ret_text);
}
