/* SPDX-License-Identifier: GPL-2.0 */
/* Statistics and state, as JSON. */
#ifndef STATS_H
#define STATS_H

#include <jansson.h>

#include "vmm.h"

struct virtio_dev;

/* ---- stats.c: main thread ---------------------------------------------------- */

/* Opens --stats, if given. die()s. */
void stats_init(struct vm *vm);
/* Return: a new reference, or NULL without memory. */
json_t *stats_json(void);
json_t *stats_status_json(void);
/* What a device is, in both of them; under vm->lock. */
json_t *stats_device_json(const struct virtio_dev *dev);
/* What of the sandbox is on; sandbox/sandbox.c. */
json_t *sandbox_json(void);
/* What is left in the file is stats_json() at the end of the VM. */
void stats_write(void);

#endif
