/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Store, see store.h. An entry's file is one line that says version, form, kind and name, and then
 * the contents: plain, behind their SHA-256, or sealed (base/seal.h), bound to the line. The line
 * is compared, never parsed: what it has to be follows from the file's name.
 */

#include "keyring/store.h"

#include "base/cleanup.h"
#include "base/entry.h"
#include "base/fault.h"
#include "base/seal.h"
#include "keyring/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE_VERSION "1\n"
#define STORE_VERSION_FILE "version"
#define STORE_ASIDE_PREFIX ".new-"
#define STORE_LOCK_WAIT_MSEC 3000u /* longer than dtlsd lets a keyring that is to end live */
#define STORE_LOCK_TRY_MSEC 20u
#define STORE_DIGEST GNUTLS_DIG_SHA256
#define STORE_DIGEST_SIZE 32
#define STORE_HEADER_MAX 160
#define STORE_FILE_MAX (STORE_HEADER_MAX + STORE_ENTRY_MAX + MAX(SEAL_OVERHEAD, STORE_DIGEST_SIZE))

struct Store {
        char *path;
        int folder_fd;
        Secret *seal_key; /* NULL: entries are plain */
        StoreWait wait;   /* NULL: what takes long is done where we are */
        void *wait_userdata;
};

static const char *const store_kinds[N_STORE_KINDS] = {
        [STORE_IDENTITY] = "identity",
        [STORE_PSK] = "psk",
        [STORE_TRUST] = "trust",
        [STORE_PINS] = "pins",
        [STORE_REVOCATIONS] = "revocations",
};

/* ---- names ---- */

static char *store_file_name(StoreKind kind, const char *name) {
        char *file = g_strdup_printf("%s:%s", store_kinds[kind], name);

        return g_strdelimit(file, "/", ',');
}

/* Of a file's name; NULL: it is no entry's. */
static StoreName *store_name_of_file(const char *file) {
        for (StoreKind kind = 0; kind < N_STORE_KINDS; kind++) {
                size_t length = strlen(store_kinds[kind]);
                g_autofree char *name = NULL;
                StoreName *found;

                if (strncmp(file, store_kinds[kind], length) != 0 || file[length] != ':')
                        continue;

                name = g_strdelimit(g_strdup(file + length + 1), ",", '/');
                if (!entry_name_is_valid(name))
                        return NULL;

                found = g_new0(StoreName, 1);
                found->kind = kind;
                found->name = g_steal_pointer(&name);
                return found;
        }

        return NULL;
}

static void store_name_free(void *data) {
        StoreName *name = data;

        if (!name)
                return;

        g_free(name->name);
        g_free(name);
}

char *store_file(const Store *store, StoreKind kind, const char *name) {
        g_autofree char *file = store_file_name(kind, name);

        return g_build_filename(store->path, file, NULL);
}

/* ---- the form of an entry ---- */

static int store_header(const Store *store, StoreKind kind, const char *name,
                        char buffer[static STORE_HEADER_MAX]) {
        int length = snprintf(buffer, STORE_HEADER_MAX, "dtlsd-store 1 %s %s %s\n",
                              store->seal_key ? "sealed" : "plain", store_kinds[kind], name);

        g_assert(length > 0 && length < STORE_HEADER_MAX);
        return length;
}

/* @file: the header, and room for the rest. */
static int store_encrypt(const Store *store, size_t n_header, const Secret *contents,
                         Secret *file) {
        g_autoptr(GBytes) sealed = NULL;
        g_autoptr(Seal) seal = NULL;
        int r;

        r = seal_new_of(store->seal_key, &seal);
        if (r == 0)
                r = seal_close(seal, secret_peek(file), n_header, contents, &sealed);
        if (r < 0)
                return r;

        memcpy(secret_data(file) + n_header, g_bytes_get_data(sealed, NULL),
               g_bytes_get_size(sealed));
        return 0;
}

/* Finds damage, of a disk or of hands; who may write here may write this too. The same. */
static int store_digest(size_t n_header, const Secret *contents, Secret *file) {
        uint8_t *digest = secret_data(file) + n_header;

        memcpy(digest + STORE_DIGEST_SIZE, secret_peek(contents), secret_size(contents));
        return gnutls_hash_fast(STORE_DIGEST, secret_peek(contents), secret_size(contents),
                                digest) < 0
                       ? fault(-EIO)
                       : 0;
}

/* What a file has beside its header and its contents. */
static size_t store_overhead(const Store *store) {
        return store->seal_key ? SEAL_OVERHEAD : STORE_DIGEST_SIZE;
}

static int store_wrap(const Store *store, StoreKind kind, const char *name, const Secret *contents,
                      Secret **ret) {
        char header[STORE_HEADER_MAX];
        size_t n_header = (size_t)store_header(store, kind, name, header);
        g_autoptr(Secret) file =
                secret_new_zero(n_header + secret_size(contents) + store_overhead(store));
        int r;

        memcpy(secret_data(file), header, n_header);
        r = store->seal_key ? store_encrypt(store, n_header, contents, file)
                            : store_digest(n_header, contents, file);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&file);
        return 0;
}

static int store_decrypt(const Store *store, const Secret *file, size_t n_header, Secret **ret) {
        g_autoptr(GBytes) sealed =
                g_bytes_new_static(secret_peek(file) + n_header, secret_size(file) - n_header);
        g_autoptr(Seal) seal = NULL;
        int r;

        r = seal_new_of(store->seal_key, &seal);
        if (r == 0)
                r = seal_open(seal, secret_peek(file), n_header, sealed, ret);
        return r > 0 ? STORE_E_DAMAGED : r;
}

static int store_compare(const Secret *file, size_t n_header, Secret **ret) {
        const uint8_t *digest = secret_peek(file) + n_header;
        const uint8_t *contents = digest + STORE_DIGEST_SIZE;
        size_t size = secret_size(file) - n_header - STORE_DIGEST_SIZE;
        uint8_t is[STORE_DIGEST_SIZE];

        if (gnutls_hash_fast(STORE_DIGEST, contents, size, is) < 0)
                return fault(-EIO);
        if (memcmp(is, digest, sizeof(is)) != 0)
                return STORE_E_DAMAGED;

        *ret = secret_new(contents, size);
        return 0;
}

static int store_unwrap(const Store *store, StoreKind kind, const char *name, const Secret *file,
                        Secret **ret) {
        char header[STORE_HEADER_MAX];
        size_t n_header = (size_t)store_header(store, kind, name, header);

        if (secret_size(file) < n_header + store_overhead(store) ||
            memcmp(secret_peek(file), header, n_header) != 0)
                return STORE_E_DAMAGED;

        return store->seal_key ? store_decrypt(store, file, n_header, ret)
                               : store_compare(file, n_header, ret);
}

/* ---- files ---- */

static int file_write_all(int fd, const Secret *contents) {
        for (size_t n_written = 0; n_written < secret_size(contents);) {
                ssize_t n = write(fd, secret_peek(contents) + n_written,
                                  secret_size(contents) - n_written);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fault(-errno);

                n_written += (size_t)n;
        }

        return fsync(fd) < 0 ? fault(-errno) : 0;
}

static int file_write_aside(const Store *store, const Secret *contents, const char *aside) {
        g_autofd int fd = openat(store->folder_fd, aside,
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

        return fd < 0 ? fault(-errno) : file_write_all(fd, contents);
}

/* One writer: nobody else may write into the folder, no other keyring has it (folder_lock()), and
 * this process makes one change at a time. */
static int file_replace(const Store *store, const char *file, const Secret *contents) {
        g_autofree char *aside = g_strconcat(STORE_ASIDE_PREFIX, file, NULL);
        int r;

        r = file_write_aside(store, contents, aside);
        if (r == 0 && renameat(store->folder_fd, aside, store->folder_fd, file) < 0)
                r = fault(-errno);
        if (r < 0) {
                (void)unlinkat(store->folder_fd, aside, 0);
                return r;
        }

        return fsync(store->folder_fd) < 0 ? fault(-errno) : 0;
}

/* Ours alone, and no larger than an entry can be. */
static bool file_is_sound(int fd, size_t *ret_size) {
        struct stat status;

        if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
            (status.st_mode & 077) != 0 || status.st_size > (off_t)STORE_FILE_MAX)
                return false;

        *ret_size = (size_t)status.st_size;
        return true;
}

static int file_read(const Store *store, const char *file, Secret **ret) {
        g_autofd int fd =
                openat(store->folder_fd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        g_autoptr(Secret) contents = NULL;
        size_t size = 0, n_read = 0;

        if (fd < 0)
                return errno == ENOENT ? STORE_E_UNKNOWN : STORE_E_DAMAGED;
        if (!file_is_sound(fd, &size))
                return STORE_E_DAMAGED;

        contents = secret_new_zero(size);
        while (n_read < size) {
                ssize_t n = read(fd, secret_data(contents) + n_read, size - n_read);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return STORE_E_DAMAGED;

                n_read += (size_t)n;
        }

        *ret = g_steal_pointer(&contents);
        return 0;
}

/* ---- the folder ---- */

static int folder_refuse(const Store *store, char **ret_text, const char *why) {
        *ret_text = g_strdup_printf("%s: %s", store->path, why);
        return STORE_E_FOLDER;
}

/* One that is about to end has a moment to. The kernel lets go of the lock with its process. */
static int folder_lock(const Store *store, char **ret_text) {
        for (unsigned waited_msec = 0; flock(store->folder_fd, LOCK_EX | LOCK_NB) < 0;
             waited_msec += STORE_LOCK_TRY_MSEC) {
                if (errno != EWOULDBLOCK)
                        return folder_refuse(store, ret_text, g_strerror(errno));
                if (waited_msec >= STORE_LOCK_WAIT_MSEC)
                        return folder_refuse(store, ret_text,
                                             "another dtlsd-keyring uses it; stop that, or give "
                                             "this one a folder of its own");

                g_usleep(STORE_LOCK_TRY_MSEC * 1000);
        }

        return 0;
}

static int folder_open(Store *store, char **ret_text) {
        struct stat status;

        if (mkdir(store->path, 0700) < 0 && errno != EEXIST)
                return folder_refuse(store, ret_text, g_strerror(errno));

        store->folder_fd = open(store->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (store->folder_fd < 0 || fstat(store->folder_fd, &status) < 0)
                return folder_refuse(store, ret_text, g_strerror(errno));

        if (status.st_uid != geteuid() || (status.st_mode & 077) != 0)
                return folder_refuse(store, ret_text,
                                     "it has to belong to the keyring's user, with mode 0700");

        return folder_lock(store, ret_text);
}

static int folder_check_version(Store *store, char **ret_text) {
        g_autoptr(Secret) version = NULL;
        int r;

        r = file_read(store, STORE_VERSION_FILE, &version);
        if (r == STORE_E_UNKNOWN) {
                g_autoptr(Secret) ours = secret_new(STORE_VERSION, strlen(STORE_VERSION));

                return file_replace(store, STORE_VERSION_FILE, ours);
        }

        if (r)
                return folder_refuse(store, ret_text,
                                     "its file 'version' has to be a file of the keyring's user, "
                                     "with mode 0600");

        if (secret_size(version) != strlen(STORE_VERSION) ||
            memcmp(secret_peek(version), STORE_VERSION, strlen(STORE_VERSION)) != 0)
                return folder_refuse(
                        store, ret_text,
                        "its file 'version' does not say 1: a later dtlsd-keyring wrote "
                        "it, or somebody else");

        return 0;
}

/* What a write left that was killed before its rename; and tells of what nobody here has written.
 */
static int folder_sweep(Store *store) {
        g_autoptr(GDir) folder = g_dir_open(store->path, 0, NULL);
        const char *file;

        if (!folder)
                return fault(-EIO);

        while ((file = g_dir_read_name(folder))) {
                StoreName *name = store_name_of_file(file);
                bool is_known = name || strcmp(file, STORE_VERSION_FILE) == 0;
                g_autofree char *path = NULL;

                store_name_free(name);
                if (is_known || (g_str_has_prefix(file, STORE_ASIDE_PREFIX) &&
                                 unlinkat(store->folder_fd, file, 0) == 0))
                        continue;

                path = g_build_filename(store->path, file, NULL);
                journal_left_out(path, "it is nothing that the store keeps");
        }

        return 0;
}

int store_open(const char *path, const Secret *seal_key, Store **ret, char **ret_text) {
        g_autoptr(Store) store = g_new0(Store, 1);
        int r;

        g_assert(!seal_key || secret_size(seal_key) == SEAL_KEY_SIZE);

        store->folder_fd = -1;
        store->path = g_strdup(path);
        if (seal_key)
                store->seal_key = secret_new(secret_peek(seal_key), secret_size(seal_key));

        r = folder_open(store, ret_text);
        if (r == 0)
                r = folder_sweep(store);
        if (r == 0)
                r = folder_check_version(store, ret_text);
        if (r)
                return r;

        *ret = g_steal_pointer(&store);
        return 0;
}

Store *store_free(Store *store) {
        if (!store)
                return NULL;

        if (store->folder_fd >= 0)
                (void)close(store->folder_fd);
        secret_free(store->seal_key);
        g_free(store->path);
        g_free(store);
        return NULL;
}

/* ---- entries ---- */

typedef struct StoreChange {
        const Store *store;
        const char *file;
        const Secret *contents; /* NULL: it goes */
        int outcome;
} StoreChange;

static int file_remove(const Store *store, const char *file) {
        if (unlinkat(store->folder_fd, file, 0) < 0)
                return errno == ENOENT ? STORE_E_UNKNOWN : fault(-errno);

        return fsync(store->folder_fd) < 0 ? fault(-errno) : 0;
}

/* Perhaps in another thread. */
static void store_work(void *data) {
        StoreChange *change = data;

        change->outcome = change->contents
                                  ? file_replace(change->store, change->file, change->contents)
                                  : file_remove(change->store, change->file);
}

void store_wait(const Store *store, StoreWork work, void *data) {
        if (store->wait)
                store->wait(work, data, store->wait_userdata);
        else
                work(data);
}

static int store_change(const Store *store, const char *file, const Secret *contents) {
        StoreChange change = {.store = store, .file = file, .contents = contents};

        store_wait(store, store_work, &change);
        return change.outcome;
}

void store_set_wait(Store *store, StoreWait wait, void *userdata) {
        store->wait = wait;
        store->wait_userdata = userdata;
}

int store_put(Store *store, StoreKind kind, const char *name, const Secret *contents) {
        g_autofree char *file = store_file_name(kind, name);
        g_autoptr(Secret) wrapped = NULL;
        int r;

        g_assert(entry_name_is_valid(name));

        if (secret_size(contents) > STORE_ENTRY_MAX)
                return STORE_E_TOO_LONG;

        r = store_wrap(store, kind, name, contents, &wrapped);
        return r < 0 ? r : store_change(store, file, wrapped);
}

int store_get(Store *store, StoreKind kind, const char *name, Secret **ret) {
        g_autofree char *file = store_file_name(kind, name);
        g_autoptr(Secret) wrapped = NULL;
        int r;

        g_assert(entry_name_is_valid(name));

        r = file_read(store, file, &wrapped);
        return r ? r : store_unwrap(store, kind, name, wrapped, ret);
}

int store_remove(Store *store, StoreKind kind, const char *name) {
        g_autofree char *file = store_file_name(kind, name);

        g_assert(entry_name_is_valid(name));

        return store_change(store, file, NULL);
}

static int store_names_compare(const void *a, const void *b) {
        const StoreName *x = *(const StoreName *const *)a;
        const StoreName *y = *(const StoreName *const *)b;

        return x->kind != y->kind ? (int)x->kind - (int)y->kind : strcmp(x->name, y->name);
}

int store_list(Store *store, GPtrArray **ret) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(store_name_free);
        g_autoptr(GDir) folder = g_dir_open(store->path, 0, NULL);
        const char *file;

        if (!folder)
                return fault(-EIO);

        while ((file = g_dir_read_name(folder))) {
                StoreName *name = store_name_of_file(file);

                if (name)
                        g_ptr_array_add(names, name);
        }

        g_ptr_array_sort(names, store_names_compare);
        *ret = g_steal_pointer(&names);
        return 0;
}
