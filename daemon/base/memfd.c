/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memfd, see memfd.h. A descriptor that came over the bus may be anything: a FIFO that never ends,
 * a file its owner truncates while it is read, a socket. The seals are asked for before all else,
 * because that question alone never waits, and only memory files answer it.
 */

#include "base/memfd.h"
#include "base/cleanup.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MEMFD_SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)

const char *memfd_outcome_text(MemfdOutcome outcome) {
        switch (outcome) {
        case MEMFD_E_NOT_SEALED:
                return "not a readable memfd sealed against write, grow and shrink";
        case MEMFD_E_EMPTY:
                return "the memfd is empty";
        case MEMFD_E_TOO_LARGE:
                return "the memfd is larger than 1 MiB";
        }

        g_assert_not_reached();
}

static bool memfd_is_readable(int fd) {
        int flags = fcntl(fd, F_GETFL);

        return flags >= 0 && (flags & O_ACCMODE) != O_WRONLY && !(flags & O_PATH);
}

static int memfd_look(int fd, size_t *ret_size) {
        int seals = fcntl(fd, F_GET_SEALS);
        struct stat status;

        if (seals < 0 || (seals & MEMFD_SEALS) != MEMFD_SEALS || !memfd_is_readable(fd))
                return MEMFD_E_NOT_SEALED;

        if (fstat(fd, &status) < 0)
                return fault(-errno);
        if (status.st_size == 0)
                return MEMFD_E_EMPTY;
        if (status.st_size > (off_t)MEMFD_SECRET_MAX)
                return MEMFD_E_TOO_LARGE;

        *ret_size = (size_t)status.st_size;
        return 0;
}

int memfd_check(int fd) {
        size_t size;

        return memfd_look(fd, &size);
}

/* At offsets of our own: the file position is shared with whoever sent the descriptor. */
int memfd_read(int fd, Secret **ret) {
        g_autoptr(Secret) secret = NULL;
        size_t size = 0, n_read = 0;
        int r;

        r = memfd_look(fd, &size);
        if (r)
                return r;

        secret = secret_new_zero(size);
        while (n_read < size) {
                ssize_t n = pread(fd, secret_data(secret) + n_read, size - n_read, (off_t)n_read);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return fault(n < 0 ? -errno : -EIO);

                n_read += (size_t)n;
        }

        *ret = g_steal_pointer(&secret);
        return 0;
}

static int memfd_fill(int fd, const uint8_t *data, size_t size) {
        for (size_t n_written = 0; n_written < size;) {
                ssize_t n = write(fd, data + n_written, size - n_written);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fault(-errno);

                n_written += (size_t)n;
        }

        return 0;
}

int memfd_new(const void *data, size_t size, int *ret_fd) {
        g_autofd int fd = -1;
        int r;

        if (size == 0)
                return MEMFD_E_EMPTY;
        if (size > MEMFD_SECRET_MAX)
                return MEMFD_E_TOO_LARGE;

        fd = memfd_create("secret", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return fault(-errno);

        r = memfd_fill(fd, data, size);
        if (r < 0)
                return fault(r);

        if (fcntl(fd, F_ADD_SEALS, MEMFD_SEALS | F_SEAL_SEAL) < 0)
                return fault(-errno);

        *ret_fd = autofd_steal(&fd);
        return 0;
}
