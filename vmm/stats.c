// SPDX-License-Identifier: GPL-2.0
/*
 * Gathers what there is to know of a running VM.
 *
 * in:  the vCPUs' and the datapaths' counters, /proc/self
 * out: JSON, for the control socket and for --stats
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "latency.h"
#include "opts.h"
#include "stats.h"
#include "vfio.h"
#include "virtio.h"

static struct vm *stats_vm;
static int stats_fd = -1;
static int smaps_fd = -1;

static u64 uptime_ns(void)
{
	return monotonic_ns() - stats_vm->start_ns;
}

static const char *state_name(void)
{
	static const char *const names[] = {
		[VM_RUNNING] = "running",
		[VM_POWERED_OFF] = "powered-off",
		[VM_RESET] = "reset",
		[VM_REBOOT] = "reset",
		[VM_QUIT] = "quit",
		[VM_FAILED] = "failed",
	};

	enum vm_state state = atomic_load(&stats_vm->state);

	return state == VM_RUNNING && atomic_load(&stats_vm->paused) ? "paused" : names[state];
}

/* Resident memory: the guest's RAM, and everything else, which is ours. */
static void resident(u64 *own_bytes, u64 *guest_bytes)
{
	const u8 *ram = stats_vm->ram[0].hva, *ram_end = ram + stats_vm->opts->memory_bytes;
	unsigned long from = 0, to, kib;
	int fd = dup(smaps_fd);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char line[256];

	*own_bytes = *guest_bytes = 0;
	if (!f)
		return;
	rewind(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Rss: %lu kB", &kib) == 1) {
			bool guest = from >= (unsigned long)ram && from < (unsigned long)ram_end;

			*(guest ? guest_bytes : own_bytes) += kib * KIB;
		} else {
			sscanf(line, "%lx-%lx ", &from, &to);
		}
	}
	fclose(f);
}

static json_t *vcpu_json(const struct vcpu *vcpu)
{
	json_t *exits = json_object();
	u64 total = 0;
	unsigned int i;

	for (i = 0; i < NR_VCPU_EXITS; i++) {
		u64 n = atomic_load_explicit(&vcpu->exits[i], memory_order_relaxed);

		json_object_set_new(exits, vcpu_exit_names[i], json_integer(n));
		total += n;
	}
	json_object_set_new(exits, "total", json_integer(total));
	return json_pack("{s:i, s:o}", "id", (int)vcpu->id, "exits", exits);
}

/* Those that are not empty: where each begins, and how many. */
static json_t *latency_json(const u64 *count)
{
	json_t *buckets = json_array();
	unsigned int i;

	for (i = 0; i < VKICK_LATENCY_BUCKETS; i++)
		if (count[i])
			json_array_append_new(buckets, json_pack("[I, I]", (json_int_t)vkick_latency_from_ns(i),
								 (json_int_t)count[i]));
	return buckets;
}

static json_t *queue_json(struct virtio_dev *dev, unsigned int i)
{
	struct datapath_stats s;

	datapath_stats(dev, i, &s);
	return json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "size", (int)dev->ring[i].num,
			 "kicks", (json_int_t)s.kicks,
			 "requests", (json_int_t)s.requests,
			 "calls", (json_int_t)s.calls,
			 "calls_suppressed", (json_int_t)s.calls_suppressed,
			 "calls_held", (json_int_t)s.calls_held,
			 "calls_in_vain", (json_int_t)s.calls_in_vain,
			 "latency_p50_ns", (json_int_t)latency_percentile(s.latency, 50),
			 "latency_p99_ns", (json_int_t)latency_percentile(s.latency, 99),
			 "latency_ns", latency_json(s.latency));
}

json_t *stats_device_json(const struct virtio_dev *dev)
{
	json_t *d = json_pack("{s:s, s:s, s:s, s:s, s:i, s:b, s:i, s:i, s:i, s:i, s:i, s:I}",
			      "name", dev->name, "class", dev->class->name,
			      "datapath", dev->datapath->ops->name,
			      "notify", dev->notify_pio ? "pio" : "mmio",
			      "status", (int)dev->status, "running", dev->running,
			      "nr_queues", (int)dev->nr_queues,
			      "queue_size", (int)dev->queue_size,
			      "iothreads", (int)dev->nr_workers,
			      "poll_us", (int)dev->poll_us,
			      "switches", (int)dev->switches,
			      "switch_pause_ns", (json_int_t)dev->pause_ns);

	if (dev->class->describe)
		dev->class->describe(dev, d);
	return d;
}

json_t *stats_json(void)
{
	json_t *root, *vcpus = json_array(), *devices = json_array();
	u64 own_bytes, guest_bytes, exits_notify = 0;
	struct virtio_dev *dev;
	unsigned int i, n;

	for (i = 0; i < stats_vm->opts->cpus; i++)
		json_array_append_new(vcpus, vcpu_json(&stats_vm->vcpus[i]));

	pthread_mutex_lock(&stats_vm->lock);
	for (n = 0; (dev = virtio_dev_at(n)); n++) {
		json_t *d = stats_device_json(dev), *queues = json_array();

		for (i = 0; i < dev->nr_queues; i++)
			json_array_append_new(queues, queue_json(dev, i));
		json_object_set_new(d, "exits_notify", json_integer(dev->exits_notify));
		json_object_set_new(d, "queues", queues);
		json_array_append_new(devices, d);
		exits_notify += dev->exits_notify;
	}
	pthread_mutex_unlock(&stats_vm->lock);

	resident(&own_bytes, &guest_bytes);
	root = json_pack("{s:s, s:I, s:i, s:I, s:I, s:I}", "state", state_name(),
			 "uptime_ns", (json_int_t)uptime_ns(),
			 "boots", (int)stats_vm->boots,
			 "rss_bytes", (json_int_t)own_bytes,
			 "guest_rss_bytes", (json_int_t)guest_bytes,
			 "exits_notify", (json_int_t)exits_notify);
	json_object_set_new(root, "vcpus", vcpus);
	json_object_set_new(root, "devices", devices);
	return root;
}

json_t *stats_status_json(void)
{
	json_t *root, *devices = json_array(), *vfio;
	struct virtio_dev *dev;
	unsigned int n;

	pthread_mutex_lock(&stats_vm->lock);
	for (n = 0; (dev = virtio_dev_at(n)); n++)
		json_array_append_new(devices, stats_device_json(dev));
	vfio = vfio_status_json();
	pthread_mutex_unlock(&stats_vm->lock);

	root = json_pack("{s:s, s:s, s:i, s:I, s:i, s:i, s:I}", "version", VKICK_VERSION,
			 "state", state_name(), "pid", (int)getpid(),
			 "uptime_ns", (json_int_t)uptime_ns(),
			 "boots", (int)stats_vm->boots,
			 "cpus", (int)stats_vm->opts->cpus,
			 "memory_bytes", (json_int_t)stats_vm->opts->memory_bytes);
	json_object_set_new(root, "sandbox", sandbox_json());
	json_object_set_new(root, "devices", devices);
	json_object_set_new(root, "vfio", vfio);
	return root;
}

void stats_init(struct vm *vm)
{
	const char *path = vm->opts->stats_path;

	stats_vm = vm;
	/* The sandbox has no /proc, and no /dev/urandom, of which jansson would make its seed. */
	smaps_fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
	json_object_seed(0);
	if (!path)
		return;
	stats_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (stats_fd < 0)
		die("--stats %s: %s", path, strerror(errno));
}

void stats_write(void)
{
	json_t *root;

	if (stats_fd < 0)
		return;
	root = stats_json();
	if (json_dumpfd(root, stats_fd, JSON_COMPACT) || write(stats_fd, "\n", 1) != 1)
		warn("--stats %s: cannot be written", stats_vm->opts->stats_path);
	json_decref(root);
}
