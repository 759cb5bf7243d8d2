/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * capture, see capture.h. To a file that has no name, so that nothing has to read meanwhile.
 */

#include "lib/capture.h"

#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int capture_saved_fd = -1;

void capture_begin(void) {
        int fd = memfd_create("stderr", MFD_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(capture_saved_fd, ==, -1);

        capture_saved_fd = dup(STDERR_FILENO);
        g_assert_cmpint(dup2(fd, STDERR_FILENO), ==, STDERR_FILENO);
        close(fd);
}

char *capture_end(void) {
        off_t size = lseek(STDERR_FILENO, 0, SEEK_END);
        char *text;

        g_assert_cmpint(size, >=, 0);

        text = g_malloc0((size_t)size + 1);
        g_assert_cmpint(pread(STDERR_FILENO, text, (size_t)size, 0), ==, size);

        g_assert_cmpint(dup2(capture_saved_fd, STDERR_FILENO), ==, STDERR_FILENO);
        close(capture_saved_fd);
        capture_saved_fd = -1;
        return text;
}
