/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Files are read in the caller's process with the caller's rights; secrets leave it as sealed
 * memfds only.
 */

#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SIZE_MAX (1024 * 1024) /* what the service takes of a certificate file or a secret */
#define SECRET_SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

static int write_all(int fd, const uint8_t *data, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0)
                        return -errno;

                data += n;
                size -= (size_t)n;
        }

        return 0;
}

int dtlsd_secret_memfd(const void *data, size_t size) {
        int fd, r;

        fd = memfd_create("dtlsd-secret", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return -errno;

        r = write_all(fd, data, size);
        if (r >= 0 && fcntl(fd, F_ADD_SEALS, SECRET_SEALS) < 0)
                r = -errno;
        if (r < 0) {
                (void)close(fd);
                return r;
        }

        return fd;
}

static int read_fd(int fd, uint8_t *buffer, size_t size) {
        size_t done = 0;

        while (done < size) {
                ssize_t n = read(fd, buffer + done, size - done);

                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EIO; /* it shrank under us */

                done += (size_t)n;
        }

        return 0;
}

static int read_open_file(int fd, uint8_t **ret, size_t *ret_size) {
        struct stat st;
        uint8_t *buffer;
        int r;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL; /* as file_failed() knows */
        if (st.st_size > FILE_SIZE_MAX)
                return -EFBIG;

        buffer = malloc((size_t)st.st_size + 1);
        if (!buffer)
                return -ENOMEM;

        r = read_fd(fd, buffer, (size_t)st.st_size);
        if (r < 0) {
                explicit_bzero(buffer, (size_t)st.st_size);
                free(buffer);
                return r;
        }

        *ret = buffer;
        *ret_size = (size_t)st.st_size;
        return 0;
}

/* Says of @path why it cannot be used, and returns @r. */
static int file_failed(const char *path, int r, sd_bus_error *error) {
        const char *why = strerror(-r);

        if (r == -EINVAL)
                why = "Not a regular file";
        else if (r == -EFBIG)
                why = "Larger than 1 MiB";

        (void)sd_bus_error_set_errnof(error, -r, "%s: %s", path, why);
        return r;
}

int dtlsd_file_read(const char *path, uint8_t **ret, size_t *ret_size, sd_bus_error *error) {
        int fd, r;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO is not waited for */
        if (fd < 0)
                return file_failed(path, -errno, error);

        r = read_open_file(fd, ret, ret_size);
        (void)close(fd);
        return r < 0 ? file_failed(path, r, error) : 0;
}
