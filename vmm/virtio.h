/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Virtio devices: the classes, the state that a driver negotiates, the transport.
 *
 * All under vm->lock, unless said otherwise.
 */
#ifndef VIRTIO_H
#define VIRTIO_H

#include "datapath.h"
#include "intx.h"
#include "pci.h"
#include "vring.h"

#define VIRTIO_MAX_QUEUES	IOTHREAD_MAX_FDS

/* Of busy polling: a second. */
#define VIRTIO_MAX_POLL_US	1000000

struct device_opts;
struct json_t;
struct opts_key;
struct virtio_dev;

/**
 * struct virtio_class - a class of devices: one file dev_*.c each
 * @name: the option's name
 * @device_id: VIRTIO 1.2, section 5
 * @pci_class: class, subclass and interface
 * @max_queues: at most VIRTIO_MAX_QUEUES
 * @queue_size: where queue-size= is not given
 * @max_queue_size: a power of two
 * @features: bits of the class alone, if @init sets no others
 * @config_bytes: size of the device's config space, may be 0
 * @node: the module's char device
 * @vhost_node: mainline's, for datapath=vhost; NULL: there is none
 * @node_queues: queues that each open file of a node has; 0: all of the device's
 * @vmm_features: of @features, those that no node need know of
 * @user: what datapath=user is
 * @datapath_by_default: datapath= may be left out: auto
 * @withheld: bits that all classes offer, and this one does not
 * @keys: options of the class alone, up to one without a name, or NULL; @words: those without a value
 * @options_bytes: of what they set, device_opts->options
 * @init: before the datapath is opened; sets dev->priv, and what else differs from
 *	device to device; die()s. May be NULL, as each below
 * @config: fills @config_bytes bytes
 * @config_write: the driver wrote into them
 * @reset: the driver's part of the state goes
 * @start: features are settled, and the datapath is about to start
 * @kernel_check: whether a device in the kernel can serve this one. Return: 0, or -1 with one line in @why
 * @kernel_open: tells the module's device @fd what it needs before it is started.
 *	Return: 0, or -1 with one line in @why
 * @kernel_unpin: guest memory is more than may be locked: tells it to do without. Return: 0
 *	or -errno
 * @kernel_config: tells it what may change; at each start, and from then on whenever
 *	it does. Return: 0 or -errno
 * @kernel_run: starts or stops queue @i, by an ioctl of @fd; NULL: by VKICK_SET_RUNNING.
 *	Return: 0 or -errno
 * @stands_still: a queue's err eventfd was signalled. Return: whether a reset would mend nothing, so that
 *	the driver is not told of it
 * @link: the control socket's; the cable is plugged in, or not. Return: NULL, or why not
 * @window: the control socket's; the terminal of the first port has so many columns and rows
 * @resize: the control socket's; to @bytes, or if 0 to what the backend now has. Return:
 *	NULL, or why not
 * @describe: adds to what the control socket says of the device
 * @kernel_starting: tells the module's device @fd what it must know of queues beyond the
 *	rings, with all of them stopped, and nobody else serving them any more. Return: 0 or -errno
 * @kernel_stopped: queues of the module's device @fd were stopped: that is the device's again
 * @serve: does one request, for datapath_user, in the I/O thread, without the
 *	lock. Return: bytes written into the chain, or -errno, which breaks the queue.
 * @serve_own: the same for the VMM's own queue @i (virtio_own.c), in the main thread,
 *	with the lock. -EAGAIN: not now, until virtio_own_stir()
 */
struct virtio_class {
	const char *name;
	u16 device_id;
	u32 pci_class;
	u8 max_queues;
	u16 queue_size;
	u16 max_queue_size;
	u64 features;
	u32 config_bytes;
	const char *node;
	const char *vhost_node;
	u8 node_queues;
	u64 vmm_features;
	const struct datapath_ops *user;
	bool datapath_by_default;
	u64 withheld;
	const struct opts_key *keys;
	const struct opts_key *words;
	u32 options_bytes;
	void (*init)(struct virtio_dev *dev, const struct device_opts *opts);
	void (*config)(const struct virtio_dev *dev, void *buf);
	void (*config_write)(struct virtio_dev *dev, u64 off, unsigned int len, u64 val);
	void (*reset)(struct virtio_dev *dev);
	void (*start)(struct virtio_dev *dev);
	int (*kernel_check)(const struct virtio_dev *dev, char *why);
	int (*kernel_open)(struct virtio_dev *dev, int fd, char *why);
	int (*kernel_unpin)(const struct virtio_dev *dev, int fd);
	int (*kernel_config)(struct virtio_dev *dev, int fd);
	int (*kernel_run)(struct virtio_dev *dev, int fd, unsigned int i, bool run);
	int (*kernel_starting)(struct virtio_dev *dev, int fd);
	void (*kernel_stopped)(struct virtio_dev *dev, int fd);
	bool (*stands_still)(const struct virtio_dev *dev);
	const char *(*link)(struct virtio_dev *dev, bool up);
	void (*window)(struct virtio_dev *dev, u16 cols, u16 rows);
	const char *(*resize)(struct virtio_dev *dev, u64 bytes);
	void (*describe)(const struct virtio_dev *dev, struct json_t *json);
	int64_t (*serve)(struct virtio_dev *dev, const struct vring_chain *chain);
	int64_t (*serve_own)(struct virtio_dev *dev, unsigned int i, const struct vring_chain *chain);
};

extern const struct virtio_class dev_rng;
extern const struct virtio_class dev_blk;
extern const struct virtio_class dev_net;
extern const struct virtio_class dev_console;

/**
 * struct virtq - what the datapath need not know of a queue
 * @resetting: the driver reset it, and the datapath has not let go of it yet
 * @was_reset: since then, and not enabled again: the driver may set it up
 */
struct virtq {
	u16 vector;
	bool resetting;
	bool was_reset;
	struct doorbell bell;
	struct loop_source err;
	struct virtio_dev *dev;
};

/**
 * struct virtio_isr - what a driver without MSI-X is interrupted by, see virtio_isr.c
 * @bits: the ISR status register
 * @on: MSI-X is off and the driver there: the pin is used, and the eventfds are watched
 * @source: one for each vector, then one for queues that have none
 */
struct virtio_isr {
	struct intx_level pin;
	u8 bits;
	bool on;
	int fd;			/* eventfd of those queues */
	struct virtio_isr_source {
		struct loop_source src;
		struct virtio_dev *dev;
	} source[VIRTIO_MAX_QUEUES + 2];
};

/* Queues that the VMM serves itself, of one device: a console has two. */
#define VIRTIO_MAX_OWN	2

/**
 * struct virtio_own - a queue that the VMM serves itself, see virtio_own.c
 * @index: of the queue; it changes while the device does not run alone
 * @on: it is served
 * @stats: over all starts
 */
struct virtio_own {
	struct virtio_dev *dev;
	u16 index;
	bool on;
	struct vring_dev ring;
	struct loop_source kick;
	struct datapath_stats stats;
};

/**
 * struct virtio_dev - a device
 * @features: of the class, as this device has them
 * @nr_served: of these, so many from 0 on are the datapath's, but for those of @own; nobody has the rest
 * @own: so many are the VMM's
 * @nr_workers: threads that serve the queues, 1 to @nr_queues
 * @poll_us: for how long they look for more before they ask for a kick; 0: not at all
 * @priv: the class's
 * @ring: what the datapath gets, by queue; @q: the rest, by queue
 * @cut: the datapath leaves all queues alone, started or not; it changes between a stop and a start
 * @running: the datapath is started; @held: it will be, when the VM goes on
 * @stopping: it, or a queue of it, is being stopped, or is about to be, without the lock: see virtio_stop.c.
 *	@stopped is for who waits for the end of that
 * @exits_notify: doorbell writes that came here and not to the eventfd
 * @past: counters of datapaths that it had before, by queue
 * @frozen: all counters as they were when the present stop began, by queue
 * @switches: between datapaths, so far
 * @pause_ns: for how long the last one had the queues stand still
 */
struct virtio_dev {
	struct vm *vm;
	const struct virtio_class *class;
	char name[16];
	bool notify_pio;
	struct datapath *datapath;
	u64 features;
	u16 nr_queues;
	u16 nr_served;
	u16 queue_size;
	u32 nr_workers;
	u32 poll_us;
	void *priv;

	u64 offered;
	u64 acked;
	u8 status;
	u8 generation;
	u16 config_vector;
	bool cut;
	bool running;
	bool held;
	bool stopping;
	pthread_cond_t stopped;
	struct datapath_queue ring[VIRTIO_MAX_QUEUES];
	struct virtq q[VIRTIO_MAX_QUEUES];
	struct virtio_own own[VIRTIO_MAX_OWN];
	unsigned int nr_own;
	u64 exits_notify;
	struct datapath_stats past[VIRTIO_MAX_QUEUES];
	struct datapath_stats frozen[VIRTIO_MAX_QUEUES];
	u32 switches;
	u64 pause_ns;

	/* The transport's, virtio_pci.c. */
	u32 device_feature_select;
	u32 driver_feature_select;
	u16 queue_select;
	u8 pci_cfg_cap;
	struct pci_dev pci;
	struct msix msix;
	struct virtio_isr isr;
};

/* Whether the driver chose packed rings (2.8). */
static inline bool virtio_packed(const struct virtio_dev *dev)
{
	return dev->acked & 1UL << VIRTIO_F_RING_PACKED;
}

/* The VMM's own queue @i, or NULL: it is the datapath's, or nobody's. */
static inline struct virtio_own *virtio_own_of(const struct virtio_dev *dev, unsigned int i)
{
	unsigned int n;

	for (n = 0; n < dev->nr_own; n++)
		if (dev->own[n].index == i)
			return (struct virtio_own *)&dev->own[n];
	return NULL;
}

/* Whether the datapath, if started, has queue @i to serve. */
static inline bool datapath_serves(const struct virtio_dev *dev, unsigned int i)
{
	return !dev->cut && i < dev->nr_served && !virtio_own_of(dev, i) && dev->ring[i].enabled && !dev->ring[i].closed;
}

/* ---- virtio.c ---------------------------------------------------------------- */

/* Return: the nth class, or NULL past the last. Any context. */
const struct virtio_class *virtio_class_at(unsigned int n);
/* Makes the devices of vm->opts. die()s. */
void virtio_init(struct vm *vm);
/* Return: the nth device, or NULL past the last. */
struct virtio_dev *virtio_dev_at(unsigned int n);
/* Every device as after power-on, MSI-X included. */
void virtio_power_off(void);

void virtio_write_status(struct virtio_dev *dev, u8 val);
void virtio_reset(struct virtio_dev *dev);
/* VIRTIO 1.2, 2.1.2: the device cannot go on. */
void virtio_needs_reset(struct virtio_dev *dev, const char *why);
/* The config space is no longer what the driver read: interrupts it. */
void virtio_config_changed(struct virtio_dev *dev);
/* No device has anything in flight, or touches guest memory, from the one to the other. */
void virtio_hold_all(void);
void virtio_unhold_all(void);
/*
 * Another datapath serves the queues from where the one so far ended. Return: 0, or
 * -errno, and the one so far goes on. The other one of the two is then to be released.
 */
int virtio_take_over(struct virtio_dev *dev, struct datapath *new);
/*
 * Has nothing in flight when @between runs, without the lock, and goes on where it was.
 * Nobody else changes the device meanwhile.
 */
void virtio_pause(struct virtio_dev *dev, void (*between)(struct virtio_dev *dev));
/* Sets dev->cut. It may give vm->lock up for a while. */
void virtio_set_cut(struct virtio_dev *dev, bool cut);

/* ---- virtio_stop.c: each may give vm->lock up for a while ---------------------- */

/* Return: when no stop goes on. */
void virtio_await_stop(struct virtio_dev *dev);
/* From the one to the other the datapath may be called, and vm->lock is not held. */
void virtio_stop_begin(struct virtio_dev *dev);
void virtio_stop_end(struct virtio_dev *dev);
/* The whole device, if it runs. */
void virtio_stop(struct virtio_dev *dev);

/* ---- virtio_own.c -------------------------------------------------------------- */

/* Serves it from its ->state on, if the driver enabled it. Return: 0 or -errno: the guest may have given any address. */
int virtio_own_start(struct virtio_own *own);
/* When it returns, nothing of it is touched any more, and its ->state is exact. */
void virtio_own_stop(struct virtio_own *own);
/* The same for all of a device. */
int virtio_own_start_all(struct virtio_dev *dev);
void virtio_own_stop_all(struct virtio_dev *dev);
/* There is something for a request that serve_own() had no answer to. */
void virtio_own_stir(struct virtio_own *own);

/* ---- virtio_queue.c ------------------------------------------------------------ */

/* As after a reset of the device: nothing serves it. */
void virtio_queue_default(struct virtio_dev *dev, unsigned int i);
/* It is about to be served from its ring's beginning, as the driver set it up. */
void virtio_queue_ready(struct virtio_dev *dev, unsigned int i);
void virtio_queue_enable(struct virtio_dev *dev, unsigned int i);
/* 2.6.1; as virtio_stop(). */
void virtio_queue_reset(struct virtio_dev *dev, unsigned int i);
/*
 * Whether queue @i is served from now on; if not it keeps its place. Main thread; vm->lock, which is let go meanwhile, and
 * nobody resets the device then (virtio_await_stop()).
 */
void virtio_queue_gate(struct virtio_dev *dev, unsigned int i, bool open);

/* ---- datapath_choose.c ------------------------------------------------------- */

/* Opens the one that was asked for. die()s. */
void datapath_init(struct virtio_dev *dev, const struct device_opts *o);
/* Another kind from now on. Main thread, without vm->lock. Return: 0, or -1 with one line in @why, and nothing changed. */
int datapath_switch(struct virtio_dev *dev, const struct datapath_ops *to, char *why);
/* Of queue @i, whichever datapaths it had. */
void datapath_stats(struct virtio_dev *dev, unsigned int i, struct datapath_stats *s);

/* ---- virtio_common.c --------------------------------------------------------- */

#define VIRTIO_COMMON_BYTES	60	/* to the end of queue_reset */

u64 virtio_common_read(struct virtio_dev *dev, u64 off, unsigned int len);
void virtio_common_write(struct virtio_dev *dev, u64 off, unsigned int len, u64 val);

/* ---- virtio_isr.c ------------------------------------------------------------ */

void virtio_isr_init(struct virtio_dev *dev);
/* The eventfd for events of a queue with this vector, or MSIX_NO_VECTOR. */
int virtio_isr_call_fd(struct virtio_dev *dev, u16 vector);
/* The driver came or went, or MSI-X was turned on or off. */
void virtio_isr_update(struct virtio_dev *dev);
/* The config space has changed. */
void virtio_isr_config(struct virtio_dev *dev);
/* The driver reads the register, which clears it. */
u8 virtio_isr_read(struct virtio_dev *dev);
/* Nothing of the device's former life interrupts any more. */
void virtio_isr_reset(struct virtio_dev *dev);

/* ---- virtio_pci.c ------------------------------------------------------------ */

void virtio_pci_init(struct virtio_dev *dev);

#endif
