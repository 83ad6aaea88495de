// SPDX-License-Identifier: GPL-2.0
/*
 * Reads a device's option: --CLASS KEY=VALUE[,KEY=VALUE...].
 *
 * in:  the keys that every class has, and the class's own
 * out: struct device_opts, or one line that names the key, its fault and the remedy
 */
#include <cpuid.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opts.h"
#include "virtio.h"

/* Of a split ring, so that a chain of two and one more fit. */
#define MIN_QUEUE_SIZE	4

/* ---- Values ------------------------------------------------------------------------ */

bool opts_on_off(const struct device_opts *d, const char *key, const char *v)
{
	if (strcmp(v, "on") && strcmp(v, "off"))
		die_usage("--%s %s=%s: give on or off", d->class->name, key, v);
	return !strcmp(v, "on");
}

u32 opts_range(const struct device_opts *d, const char *key, const char *v, u32 min, u32 max)
{
	char *end;
	u64 n = opts_number(v, &end);

	if (end == v || *end || errno || n < min || n > max)
		die_usage("--%s %s=%s: give %u to %u", d->class->name, key, v, min, max);
	return n;
}

u32 opts_power_of_2(const struct device_opts *d, const char *key, const char *v,
		    u32 min, u32 max)
{
	char *end;
	u64 n = opts_number(v, &end);

	if (end == v || *end || errno || n < min || n > max || n & (n - 1))
		die_usage("--%s %s=%s: give a power of two, %u to %u", d->class->name, key, v,
			  min, max);
	return n;
}

/* ---- Keys of every class -------------------------------------------------------------- */

static const struct {
	const char *key;
	u64 bit;
	bool by_default;
} ring_features[] = {
	{ "packed", 1UL << VIRTIO_F_RING_PACKED, false },
	{ "indirect", 1UL << VIRTIO_RING_F_INDIRECT_DESC, true },
	{ "event-idx", 1UL << VIRTIO_RING_F_EVENT_IDX, true },
	{ "in-order", 1UL << VIRTIO_F_IN_ORDER, false },
};

const char *opts_ring_feature(u64 features)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ring_features); i++)
		if (features & ring_features[i].bit)
			return ring_features[i].key;
	return NULL;
}

static void set_ring_feature(struct device_opts *d, const char *key, const char *v)
{
	bool on = opts_on_off(d, key, v);
	unsigned int i = 0;

	while (strcmp(ring_features[i].key, key))
		i++;
	d->ring_features &= ~ring_features[i].bit;
	d->ring_features_asked &= ~ring_features[i].bit;
	if (on) {
		d->ring_features |= ring_features[i].bit;
		d->ring_features_asked |= ring_features[i].bit;
	}
}

static u64 default_ring_features(void)
{
	u64 features = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ring_features); i++)
		if (ring_features[i].by_default)
			features |= ring_features[i].bit;
	return features;
}

/*
 * A doorbell on a port costs an exit that the CPU decodes; on memory, SVM leaves
 * the decoding to software, whereas VMX has a fast way. So it depends on the CPU.
 */
static bool cpu_has_svm(void)
{
	u32 eax, vendor[3];

	__cpuid(0, eax, vendor[0], vendor[2], vendor[1]);
	return !memcmp(vendor, "AuthenticAMD", 12) || !memcmp(vendor, "HygonGenuine", 12);
}

static void set_notify(struct device_opts *d, const char *key, const char *v)
{
	if (!strcmp(v, "pio"))
		d->notify_pio = true;
	else if (!strcmp(v, "mmio"))
		d->notify_pio = false;
	else if (!strcmp(v, "auto"))
		d->notify_pio = cpu_has_svm();
	else
		die_usage("--%s %s=%s: give mmio, pio or auto", d->class->name, key, v);
}

static void set_datapath(struct device_opts *d, const char *key, const char *v)
{
	d->datapath_asked = true;
	d->datapath_auto = !strcmp(v, "auto");
	d->datapath = datapath_find(d->class, d->datapath_auto ? "kernel" : v);
	if (!d->datapath)
		die_usage("--%s %s=%s: give kernel, user%s or auto", d->class->name, key, v,
			  d->class->vhost_node ? ", vhost" : "");
}

static void set_queues(struct device_opts *d, const char *key, const char *v)
{
	d->queues = opts_range(d, key, v, 1, d->class->max_queues);
}

static void set_queue_size(struct device_opts *d, const char *key, const char *v)
{
	d->queue_size = opts_power_of_2(d, key, v, MIN_QUEUE_SIZE, d->class->max_queue_size);
}

static const struct opts_key common_keys[] = {
	{ "datapath", set_datapath },
	{ "notify", set_notify },
	{ "packed", set_ring_feature },
	{ "indirect", set_ring_feature },
	{ "event-idx", set_ring_feature },
	{ "in-order", set_ring_feature },
	{ "queues", set_queues },
	{ "queue-size", set_queue_size },
	{ }
};

/* ---- The option ------------------------------------------------------------------------ */

/* Of @keys, the one of @name, or NULL. */
static const struct opts_key *find(const struct opts_key *keys, const char *name)
{
	for (; keys && keys->name; keys++)
		if (!strcmp(keys->name, name))
			return keys;
	return NULL;
}

static void append_names(char *buf, size_t bytes, const struct opts_key *keys, const char *end)
{
	for (; keys && keys->name; keys++) {
		size_t n = strlen(buf);

		snprintf(buf + n, bytes - n, "%s%s%s", n ? ", " : "", keys->name, end);
	}
}

static void unknown_key(const struct virtio_class *class, const char *key)
{
	char names[512] = "";

	append_names(names, sizeof(names), class->words, "");
	append_names(names, sizeof(names), class->keys, "=");
	append_names(names, sizeof(names), common_keys, "=");
	die_usage("--%s: unknown key %s: there are %s", class->name, key, names);
}

static void set_one(struct device_opts *d, char *key)
{
	char *value = strchr(key, '=');
	const struct opts_key *k;

	if (value)
		*value = 0;
	k = find(value ? d->class->keys : d->class->words, key);
	if (!k && value)
		k = find(common_keys, key);
	if (!k) {
		if (value)
			*value = '=';
		unknown_key(d->class, key);
	}
	k->set(d, key, value ? value + 1 : NULL);
}

void opts_add_device(struct opts *o, const struct virtio_class *class, char *v)
{
	struct device_opts *d = &o->devices[o->nr_devices];
	char *key, *save = NULL;

	if (o->nr_devices++ == OPTS_MAX_DEVICES)
		die_usage("--%s: too many devices: at most %u", class->name, OPTS_MAX_DEVICES);
	*d = (struct device_opts) {
		.class = class,
		.notify_pio = cpu_has_svm(),
		.ring_features = default_ring_features(),
		.options = calloc(1, class->options_bytes + 1),
	};
	if (!d->options)
		die("--%s: out of memory", class->name);
	for (key = strtok_r(v, ",", &save); key; key = strtok_r(NULL, ",", &save))
		set_one(d, key);
	if (!d->datapath && class->datapath_by_default) {
		set_datapath(d, "datapath", "auto");
		d->datapath_asked = false;
	}
	if (!d->datapath)
		die_usage("--%s: no datapath: give datapath=kernel, datapath=user or datapath=auto",
			  class->name);
}
