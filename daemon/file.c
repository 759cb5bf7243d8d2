/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * File, see file.h.
 */

#include "file.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int file_refuse(const char *path, int error, char **ret_text) {
        *ret_text = g_strdup_printf("%s: %s", path, g_strerror(error));
        return error == ENOENT ? FILE_E_UNKNOWN : FILE_E_BROKEN;
}

static bool file_is_null(const struct stat *status) {
        return S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);
}

/* Less than @size when the file was cut off meanwhile; negative: errno has why. */
static ssize_t file_read_all(int fd, char *contents, size_t size) {
        size_t n_read = 0;

        while (n_read < size) {
                ssize_t n = read(fd, contents + n_read, size - n_read);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -1;
                if (n == 0)
                        break;

                n_read += (size_t)n;
        }

        return (ssize_t)n_read;
}

int file_read(const char *path, size_t max, char **ret, size_t *ret_size, char **ret_text) {
        /* without O_NONBLOCK a FIFO would wait here for its writer */
        g_autofd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        g_autofree char *contents = NULL;
        struct stat status;
        ssize_t n;

        if (fd < 0 || fstat(fd, &status) < 0)
                return file_refuse(path, errno, ret_text);
        if (!file_is_null(&status) &&
            (!S_ISREG(status.st_mode) || (uint64_t)status.st_size > max)) {
                *ret_text = g_strdup_printf("%s: not a file of at most %zu bytes", path, max);
                return FILE_E_BROKEN;
        }

        contents = g_malloc((size_t)status.st_size + 1);
        n = file_read_all(fd, contents, (size_t)status.st_size);
        if (n < 0)
                return file_refuse(path, errno, ret_text);

        contents[n] = '\0';
        *ret = g_steal_pointer(&contents);
        *ret_size = (size_t)n;
        return 0;
}
