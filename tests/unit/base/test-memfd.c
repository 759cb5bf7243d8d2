/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memfd: only sealed memory is read, and asking about anything else never waits. */

#include "base/cleanup.h"
#include "base/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define ALL (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)

static int memfd_with(const char *text, off_t size, unsigned seals) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(pwrite(fd, text, strlen(text), 0), ==, strlen(text));
        g_assert_cmpint(ftruncate(fd, size), ==, 0);
        g_assert_cmpint(fcntl(fd, F_ADD_SEALS, seals), ==, 0);
        return fd;
}

/* With an alarm: whatever waits here ends the test. */
static void assert_refused(int fd, int outcome) {
        Secret *secret = NULL;

        alarm(5);
        g_assert_cmpint(memfd_check(fd), ==, outcome);
        g_assert_cmpint(memfd_read(fd, &secret), ==, outcome);
        alarm(0);
        g_assert_null(secret);
}

static void test_what_new_made_is_read_back(void) {
        g_autoptr(Secret) secret = NULL;
        g_autofd int fd = -1;

        g_assert_cmpint(memfd_new("a\0b", 3, &fd), ==, 0);
        g_assert_cmpint(memfd_check(fd), ==, 0);
        g_assert_cmpint(memfd_read(fd, &secret), ==, 0);
        g_assert_cmpmem(secret_peek(secret), secret_size(secret), "a\0b", 3);
}

static void test_what_new_made_cannot_be_changed(void) {
        g_autofd int fd = -1;

        g_assert_cmpint(memfd_new("abc", 3, &fd), ==, 0);
        g_assert_cmpint(pwrite(fd, "x", 1, 0), ==, -1);
        g_assert_cmpint(errno, ==, EPERM);
        g_assert_cmpint(ftruncate(fd, 1), ==, -1);
        g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
}

static void test_reading_leaves_the_position_alone(void) {
        g_autoptr(Secret) first = NULL, second = NULL;
        g_autofd int fd = memfd_with("abc", 3, ALL);

        g_assert_cmpint(lseek(fd, 2, SEEK_SET), ==, 2);
        g_assert_cmpint(memfd_read(fd, &first), ==, 0);
        g_assert_cmpint(memfd_read(fd, &second), ==, 0);
        g_assert_cmpmem(secret_peek(second), secret_size(second), "abc", 3);
        g_assert_cmpint(lseek(fd, 0, SEEK_CUR), ==, 2);
}

static void test_every_seal_is_needed(void) {
        static const unsigned seals[] = {
                0,
                F_SEAL_WRITE,
                F_SEAL_GROW | F_SEAL_SHRINK,
                F_SEAL_WRITE | F_SEAL_GROW,
                F_SEAL_WRITE | F_SEAL_SHRINK,
                F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL,
        };

        for (size_t i = 0; i < G_N_ELEMENTS(seals); i++) {
                g_autofd int fd = memfd_with("abc", 3, seals[i]);

                assert_refused(fd, MEMFD_E_NOT_SEALED);
        }
}

static void test_the_size_has_bounds(void) {
        g_autofd int empty = memfd_with("", 0, ALL);
        g_autofd int full = memfd_with("abc", MEMFD_SECRET_MAX, ALL);
        g_autofd int over = memfd_with("abc", MEMFD_SECRET_MAX + 1, ALL);
        g_autofd int huge = memfd_with("abc", 1024 * 1024 * 1024, ALL);
        g_autoptr(Secret) secret = NULL;

        assert_refused(empty, MEMFD_E_EMPTY);
        assert_refused(over, MEMFD_E_TOO_LARGE);
        assert_refused(huge, MEMFD_E_TOO_LARGE);

        g_assert_cmpint(memfd_read(full, &secret), ==, 0);
        g_assert_cmpuint(secret_size(secret), ==, MEMFD_SECRET_MAX);
        g_assert_cmpmem(secret_peek(secret), 4, "abc", 4);
}

static void test_new_keeps_the_same_bounds(void) {
        g_autofree char *large = g_malloc0(MEMFD_SECRET_MAX + 1);
        g_autofd int fd = -1;

        g_assert_cmpint(memfd_new("", 0, &fd), ==, MEMFD_E_EMPTY);
        g_assert_cmpint(memfd_new(large, MEMFD_SECRET_MAX + 1, &fd), ==, MEMFD_E_TOO_LARGE);
        g_assert_cmpint(fd, ==, -1);
        g_assert_cmpint(memfd_new(large, MEMFD_SECRET_MAX, &fd), ==, 0);
}

static void test_pipes_and_sockets_are_refused(void) {
        int pipe_fds[2], pair[2];

        g_assert_cmpint(pipe(pipe_fds), ==, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);

        for (int i = 0; i < 2; i++) {
                assert_refused(pipe_fds[i], MEMFD_E_NOT_SEALED);
                assert_refused(pair[i], MEMFD_E_NOT_SEALED);
                close(pipe_fds[i]);
                close(pair[i]);
        }
}

static void test_files_of_every_kind_are_refused(void) {
        g_autofree char *directory = g_dir_make_tmp("dtlsd-XXXXXX", NULL);
        g_autofree char *fifo = g_build_filename(directory, "fifo", NULL);
        g_autofree char *file = g_build_filename(directory, "file", NULL);

        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        g_assert_true(g_file_set_contents(file, "abc", 3, NULL));

        {
                g_autofd int fifo_fd = open(fifo, O_RDWR | O_CLOEXEC);
                g_autofd int file_fd = open(file, O_RDWR | O_CLOEXEC);
                g_autofd int directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                g_autofd int device_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
                g_autofd int path_fd = open(file, O_PATH | O_CLOEXEC);

                assert_refused(fifo_fd, MEMFD_E_NOT_SEALED);
                assert_refused(file_fd, MEMFD_E_NOT_SEALED);
                assert_refused(directory_fd, MEMFD_E_NOT_SEALED);
                assert_refused(device_fd, MEMFD_E_NOT_SEALED);
                assert_refused(path_fd, MEMFD_E_NOT_SEALED);
        }

        g_assert_cmpint(unlink(fifo), ==, 0);
        g_assert_cmpint(unlink(file), ==, 0);
        g_assert_cmpint(rmdir(directory), ==, 0);
}

static void test_a_memfd_that_cannot_be_read_is_refused(void) {
        g_autofd int fd = memfd_with("abc", 3, ALL);
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
        g_autofd int write_only = open(path, O_WRONLY | O_CLOEXEC);
        g_autofd int path_only = open(path, O_PATH | O_CLOEXEC);

        if (write_only < 0)
                g_test_message("a sealed memfd cannot be opened for writing here");
        else
                assert_refused(write_only, MEMFD_E_NOT_SEALED);
        assert_refused(path_only, MEMFD_E_NOT_SEALED);
}

static void test_every_outcome_has_a_text(void) {
        g_assert_cmpstr(memfd_outcome_text(MEMFD_E_NOT_SEALED), !=, "");
        g_assert_cmpstr(memfd_outcome_text(MEMFD_E_EMPTY), !=, "");
        g_assert_cmpstr(memfd_outcome_text(MEMFD_E_TOO_LARGE), !=, "");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/memfd/new/is-read-back", test_what_new_made_is_read_back);
        g_test_add_func("/memfd/new/cannot-be-changed", test_what_new_made_cannot_be_changed);
        g_test_add_func("/memfd/new/keeps-the-same-bounds", test_new_keeps_the_same_bounds);
        g_test_add_func("/memfd/read/leaves-the-position-alone",
                        test_reading_leaves_the_position_alone);
        g_test_add_func("/memfd/check/every-seal-is-needed", test_every_seal_is_needed);
        g_test_add_func("/memfd/check/the-size-has-bounds", test_the_size_has_bounds);
        g_test_add_func("/memfd/check/pipes-and-sockets-are-refused",
                        test_pipes_and_sockets_are_refused);
        g_test_add_func("/memfd/check/files-of-every-kind-are-refused",
                        test_files_of_every_kind_are_refused);
        g_test_add_func("/memfd/check/one-that-cannot-be-read-is-refused",
                        test_a_memfd_that_cannot_be_read_is_refused);
        g_test_add_func("/memfd/every-outcome-has-a-text", test_every_outcome_has_a_text);

        return g_test_run();
}
