/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Schedule: where processors are shared, a datagram that wakes the service does not interrupt who
 * sent it, and who is woken by one of a batch seldom interrupts the service before it has delivered
 * the others; else switches are a fifth of what a datagram costs.
 */

/* Of this process, and of those it starts. What an administrator has chosen stands, and where the
 * kernel does not do it everything works too. */
void schedule_as_batch(void);
