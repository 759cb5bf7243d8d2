/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Qt's QDtls as a subject: qdtls-subject, which is told the lines as they are.
 */

#include "subject.h"

#include <string.h>

typedef struct QtSubject {
        Subject subject;
        Peer *peer;
} QtSubject;

static char *obey(Subject *subject, const char *line) {
        QtSubject *qt = (QtSubject *)subject;
        g_autofree char *said = g_strconcat(line, "\n", NULL);

        peer_say(qt->peer, said);
        for (;;) {
                char *answer = peer_read_line(qt->peer);

                if (!g_str_has_prefix(answer, "sent "))
                        return answer;
                g_queue_push_tail(&subject->sent, g_strdup(answer + strlen("sent ")));
                g_free(answer);
        }
}

static void stop(Subject *subject) {
        (void)peer_stop(((QtSubject *)subject)->peer);
}

Subject *subject_qt_new(void) {
        QtSubject *qt = g_new0(QtSubject, 1);

        qt->subject = (Subject){.obey = obey, .free = stop, .sent = G_QUEUE_INIT};
        qt->peer = peer_start((const char *const[]){g_getenv(QDTLS_SUBJECT), NULL});
        return &qt->subject;
}

void subject_free(Subject *subject) {
        subject->free(subject);
        g_queue_clear_full(&subject->sent, g_free);
        g_free(subject);
}
