/* SPDX-License-Identifier: LGPL-2.1-or-later */
typedef int not_written_yet; /* placeholder */
