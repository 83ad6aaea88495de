// SPDX-License-Identifier: GPL-2.0
/*
 * A machine for tests: see machine.h.
 *
 * All of vmm/ but main() is linked in, and nothing of it needs a CPU until a guest runs.
 */
#include "machine.h"

#include "fakedp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* BARs as virtio_pci.c has them. */
#define BAR_VIRTIO	0
#define BAR_MSIX	2
#define BAR_PIO		4
#define AT_ISR		0x1000
#define AT_NOTIFY	0x3000
#define AT_PBA		0x1000
#define DOORBELL_BYTES	4

#define ISR_QUEUE	1

/* What a device's driver is to be told of: vectors' events by message, queues' by message or the ISR status register. */
struct owed {
	bool owed;
	u64 injected;	/* before */
};

static struct {
	struct vm vm;
	struct opts opts;
	bool late;		/* the main thread is */
	struct owed vector[MACHINE_MAX_DEVICES][VIRTIO_MAX_QUEUES + 1];
	struct owed queue[MACHINE_MAX_DEVICES][VIRTIO_MAX_QUEUES];
} m;

static struct virtio_dev *dev_at(unsigned int dev)
{
	struct virtio_dev *d = virtio_dev_at(dev);

	CHECK(d, "no device %u", dev);
	return d;
}

static u32 word_at(const struct pci_dev *pci, u32 off)
{
	u32 v;

	memcpy(&v, pci->cfg + off, sizeof(v));
	return v;
}

static unsigned int index_of(const struct virtio_dev *d)
{
	unsigned int dev = 0;

	while (virtio_dev_at(dev) && virtio_dev_at(dev) != d)
		dev++;
	return dev;
}

unsigned int machine_nr_devices(void)
{
	return m.opts.nr_devices;
}

/* ---- In place of some of the VMM's functions (ld --wrap) ----------------------------- */

/* A hostile guest makes the VMM warn a million times. */
static u32 warnings;
static char last_warning[512];

void __wrap_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void __wrap_warn(const char *fmt, ...)
{
	va_list args;

	warnings++;
	va_start(args, fmt);
	vsnprintf(last_warning, sizeof(last_warning), fmt, args);
	va_end(args);
}

u32 machine_warnings(const char **last)
{
	*last = last_warning;
	return warnings;
}

/* What a reset of the device takes back nobody waits for any more. */
void __wrap_msix_drop_pending(struct msix *msix);
void __real_msix_drop_pending(struct msix *msix);
void __wrap_msix_drop_pending(struct msix *msix)
{
	unsigned int dev = index_of(container_of(msix, struct virtio_dev, msix));

	if (virtio_dev_at(dev)) {
		memset(m.vector[dev], 0, sizeof(m.vector[dev]));
		memset(m.queue[dev], 0, sizeof(m.queue[dev]));
	}
	__real_msix_drop_pending(msix);
}

/* Nor what was told by the ISR status register. */
bool __wrap_msix_take(struct msix *msix, u16 vector);
bool __real_msix_take(struct msix *msix, u16 vector);
bool __wrap_msix_take(struct msix *msix, u16 vector)
{
	m.vector[index_of(container_of(msix, struct virtio_dev, msix))][vector].owed = false;
	return __real_msix_take(msix, vector);
}

u8 __wrap_virtio_isr_read(struct virtio_dev *d);
u8 __real_virtio_isr_read(struct virtio_dev *d);
u8 __wrap_virtio_isr_read(struct virtio_dev *d)
{
	u8 bits = __real_virtio_isr_read(d);
	unsigned int dev = index_of(d);

	if (bits & ISR_QUEUE)
		memset(m.queue[dev], 0, sizeof(m.queue[dev]));
	return bits;
}

/* A queue's reset takes back what is that queue's alone. */
void __wrap_msix_drop_event(struct msix *msix, u16 vector);
void __real_msix_drop_event(struct msix *msix, u16 vector);
void __wrap_msix_drop_event(struct msix *msix, u16 vector)
{
	const struct virtio_dev *d = container_of(msix, struct virtio_dev, msix);
	u32 i, users = d->config_vector == vector;

	for (i = 0; i < d->nr_queues; i++)
		users += d->q[i].vector == vector;
	CHECK(users == 1, "%s: an event of vector %u, which has %u users, is dropped", d->name, vector, users);
	m.vector[index_of(d)][vector].owed = false;
	__real_msix_drop_event(msix, vector);
}

void __wrap_virtio_queue_reset(struct virtio_dev *d, unsigned int i);
void __real_virtio_queue_reset(struct virtio_dev *d, unsigned int i);
void __wrap_virtio_queue_reset(struct virtio_dev *d, unsigned int i)
{
	m.queue[index_of(d)][i].owed = false;
	__real_virtio_queue_reset(d, i);
}

/* ---- Its datapaths ------------------------------------------------------------------- */

bool machine_runs(unsigned int dev)
{
	return fakedp_runs(dev_at(dev)->datapath);
}

u32 machine_starts(unsigned int dev)
{
	return fakedp_starts(dev_at(dev)->datapath);
}

u64 machine_served(unsigned int dev)
{
	return fakedp_served(dev_at(dev)->datapath);
}

void machine_stall(unsigned int dev)
{
	fakedp_stall(dev_at(dev)->datapath);
}

void machine_await_stall(unsigned int dev)
{
	fakedp_await_stall(dev_at(dev)->datapath);
}

void machine_let_go(unsigned int dev)
{
	fakedp_let_go(dev_at(dev)->datapath);
}

/* ---- Making it ----------------------------------------------------------------------- */

static void make_ram(struct vm *vm)
{
	u8 *ram = mmap(NULL, MACHINE_RAM_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(ram != MAP_FAILED, "RAM");
	vm->ram[0] = (struct ram_region) { .bytes = MACHINE_RAM_BYTES, .hva = ram };
	vm->nr_ram = 1;
}

void machine_init_more(char *const *words, unsigned int nr)
{
	char file[128], disk[256];
	char *argv[32] = {
		"--kernel", "none", "--serial", "off", "--cpus", "1", "--memory", "4M",
		"--disk", disk, "--rng", strdupa("datapath=user,notify=mmio,packed=on"),
		"--rng", strdupa("datapath=user,notify=mmio"), "--rng", strdupa("datapath=user,notify=mmio"),
		"--rng", strdupa("datapath=user,notify=mmio"),
	};
	unsigned int argc = 18, i;
	int fd;

	snprintf(file, sizeof(file), "%s/vkick-machine-XXXXXX", getenv("TMPDIR") ?: "/tmp");
	fd = mkstemp(file);
	CHECK(fd >= 0 && !ftruncate(fd, MIB), "%s", file);
	close(fd);
	snprintf(disk, sizeof(disk), "path=%s,datapath=user,queues=4,notify=pio,packed=on", file);
	CHECK(argc + nr <= ARRAY_SIZE(argv), "%u words", nr);
	for (i = 0; i < nr; i++)
		argv[argc++] = words[i];
	opts_parse(&m.opts, argc, argv);
	CHECK(m.opts.nr_devices <= MACHINE_MAX_DEVICES, "%u devices", m.opts.nr_devices);
	for (i = 0; i < m.opts.nr_devices; i++)
		if (i != RNG_USER)
			m.opts.devices[i].datapath = &fakedp_ops;

	m.vm = (struct vm) { .opts = &m.opts, .state = VM_RUNNING, .start_ns = monotonic_ns() };
	pthread_mutex_init(&m.vm.lock, NULL);
	m.vm.wake_fd = vm_eventfd();
	m.vm.fd = fakekvm_new();
	make_ram(&m.vm);
	loop_init(&m.vm);
	power_init(&m.vm);
	pci_init(&m.vm);
	virtio_init(&m.vm);
	irq_power_on(&m.vm);
	unlink(file);
}

void machine_init(void)
{
	machine_init_more(NULL, 0);
}

void machine_reset(void)
{
	pthread_mutex_lock(&m.vm.lock);
	virtio_power_off();
	pci_reset();
	pthread_mutex_unlock(&m.vm.lock);
	m.vm.fd = fakekvm_new();
	irq_power_on(&m.vm);
	machine_main_thread(false);
}

/* ---- Accesses --------------------------------------------------------------------------- */

/* What KVM and the main thread do in between. */
void machine_pump(void)
{
	fakekvm_pump();
	while (!m.late && loop_step(0))
		fakekvm_pump();
}

void machine_main_thread(bool late)
{
	m.late = late;
	machine_pump();
}

u64 machine_read(bool pio, u64 addr, unsigned int len)
{
	u64 v;

	pthread_mutex_lock(&m.vm.lock);
	v = bus_read(pio ? &m.vm.pio : &m.vm.mmio, addr, len);
	pthread_mutex_unlock(&m.vm.lock);
	machine_pump();
	return len < 8 ? v & ((1UL << 8 * len) - 1) : v;
}

void machine_write(bool pio, u64 addr, unsigned int len, u64 val)
{
	pthread_mutex_lock(&m.vm.lock);
	bus_write(pio ? &m.vm.pio : &m.vm.mmio, addr, len, val);
	pthread_mutex_unlock(&m.vm.lock);
	machine_pump();
}

static u64 ecam(unsigned int dev, u32 off)
{
	return LAYOUT_ECAM + ((u64)(dev + 1) << 15) + off;
}

u64 machine_cfg_read(unsigned int dev, u32 off, unsigned int len)
{
	return machine_read(false, ecam(dev, off), len);
}

void machine_cfg_write(unsigned int dev, u32 off, unsigned int len, u64 val)
{
	machine_write(false, ecam(dev, off), len, val);
}

u8 machine_cap(unsigned int dev, u8 id, u8 type)
{
	u8 at = machine_cfg_read(dev, PCI_CAPABILITY_LIST, 1);

	for (; at; at = machine_cfg_read(dev, at + PCI_CAP_LIST_NEXT, 1))
		if (machine_cfg_read(dev, at, 1) == id &&
		    (id != PCI_CAP_ID_VNDR ||
		     machine_cfg_read(dev, at + offsetof(struct virtio_pci_cap, cfg_type), 1) == type))
			return at;
	return 0;
}

static bool is_io(unsigned int dev, unsigned int bar)
{
	return machine_cfg_read(dev, PCI_BASE_ADDRESS_0 + 4 * bar, 1) & PCI_BASE_ADDRESS_SPACE_IO;
}

void machine_place(unsigned int dev, unsigned int bar, u64 addr)
{
	u32 off = PCI_BASE_ADDRESS_0 + 4 * bar;
	bool io = is_io(dev, bar);
	u16 command = machine_cfg_read(dev, PCI_COMMAND, 2);

	machine_cfg_write(dev, off, 4, addr);
	if (!io)
		machine_cfg_write(dev, off + 4, 4, addr >> 32);
	machine_cfg_write(dev, PCI_COMMAND, 2, command | (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY));
}

u64 machine_bar(unsigned int dev, unsigned int bar)
{
	u32 off = PCI_BASE_ADDRESS_0 + 4 * bar;

	if (is_io(dev, bar))
		return machine_cfg_read(dev, off, 4) & PCI_BASE_ADDRESS_IO_MASK;
	return machine_cfg_read(dev, off, 8) & PCI_BASE_ADDRESS_MEM_MASK;
}

u64 machine_common_read(unsigned int dev, u64 off, unsigned int len)
{
	return machine_read(false, machine_bar(dev, BAR_VIRTIO) + off, len);
}

void machine_common_write(unsigned int dev, u64 off, unsigned int len, u64 val)
{
	machine_write(false, machine_bar(dev, BAR_VIRTIO) + off, len, val);
}

static void drive_queue(unsigned int dev, unsigned int q, u16 num, u64 at, bool vectors)
{
	machine_common_write(dev, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
	machine_common_write(dev, VIRTIO_PCI_COMMON_Q_SIZE, 2, num);
	machine_common_write(dev, VIRTIO_PCI_COMMON_Q_MSIX, 2, vectors ? q + 1 : MSIX_NO_VECTOR);
	machine_common_write(dev, VIRTIO_PCI_COMMON_Q_DESCLO, 8, at);
	machine_common_write(dev, VIRTIO_PCI_COMMON_Q_AVAILLO, 8, at + 16UL * num);
	machine_common_write(dev, VIRTIO_PCI_COMMON_Q_USEDLO, 8, at + 20UL * num);
	machine_common_write(dev, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

void machine_drive_queue(unsigned int dev, unsigned int q, u16 num, u64 at)
{
	drive_queue(dev, q, num, at, true);
}

static void drive(unsigned int dev, u64 features, u64 enable, u16 num, u64 at, bool vectors)
{
	u8 status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	unsigned int q;

	machine_common_write(dev, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	machine_common_write(dev, VIRTIO_PCI_COMMON_STATUS, 1, status);
	for (q = 0; q < 2; q++) {
		machine_common_write(dev, VIRTIO_PCI_COMMON_GFSELECT, 4, q);
		machine_common_write(dev, VIRTIO_PCI_COMMON_GF, 4, features >> 32 * q);
	}
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	machine_common_write(dev, VIRTIO_PCI_COMMON_STATUS, 1, status);
	machine_common_write(dev, VIRTIO_PCI_COMMON_MSIX, 2, vectors ? 0 : MSIX_NO_VECTOR);
	for (q = 0; q < 64; q++)
		if (enable & 1UL << q)
			drive_queue(dev, q, num, at + q * 32UL * num, vectors);
	machine_common_write(dev, VIRTIO_PCI_COMMON_STATUS, 1, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

void machine_drive(unsigned int dev, u64 features, u64 enable, u16 num, u64 at)
{
	drive(dev, features, enable, num, at, true);
}

void machine_drive_intx(unsigned int dev, u64 features, u64 enable, u16 num, u64 at)
{
	drive(dev, features, enable, num, at, false);
}

void machine_vector_write(unsigned int dev, unsigned int vector, unsigned int word, u32 val)
{
	machine_write(false, machine_bar(dev, BAR_MSIX) + vector * PCI_MSIX_ENTRY_SIZE + 4 * word, 4, val);
}

u32 machine_vector_read(unsigned int dev, unsigned int vector, unsigned int word)
{
	return machine_read(false, machine_bar(dev, BAR_MSIX) + vector * PCI_MSIX_ENTRY_SIZE + 4 * word, 4);
}

void machine_msix_control(unsigned int dev, bool enable, bool mask)
{
	machine_cfg_write(dev, machine_cap(dev, PCI_CAP_ID_MSIX, 0) + PCI_MSIX_FLAGS, 2,
			  (enable ? PCI_MSIX_FLAGS_ENABLE : 0) | (mask ? PCI_MSIX_FLAGS_MASKALL : 0));
}

void machine_raise(unsigned int dev, unsigned int vector)
{
	struct msix_vector *v = &dev_at(dev)->msix.vector[vector];

	m.vector[dev][vector] = (struct owed) { true, fakekvm_injected(v->fd) };
	ev_signal(v->fd);
	machine_pump();
}

void machine_event(unsigned int dev, unsigned int queue)
{
	struct virtio_dev *d = dev_at(dev);
	u16 vector = d->q[queue].vector;

	CHECK(d->ring[queue].enabled && d->status & VIRTIO_CONFIG_S_DRIVER_OK, "%s: queue %u", d->name, queue);
	/* With MSI-X and no vector it is nobody's. */
	if (vector == MSIX_NO_VECTOR)
		m.queue[dev][queue] = (struct owed) { !msix_enabled(&d->msix), 0 };
	else
		m.queue[dev][queue] = (struct owed) { true, fakekvm_injected(d->ring[queue].call_fd) };
	if (vector != MSIX_NO_VECTOR)
		machine_raise(dev, vector);
	else
		ev_signal(d->ring[queue].call_fd);
	machine_pump();
}

u8 machine_isr(unsigned int dev)
{
	return machine_read(false, machine_bar(dev, BAR_VIRTIO) + AT_ISR, 1);
}

u32 machine_gsi(unsigned int dev)
{
	return pci_pin_gsi(&dev_at(dev)->pci);
}

bool machine_interrupt(unsigned int dev)
{
	return fakekvm_interrupt(machine_gsi(dev));
}

/* Whether any device holds the line up, by its registers. */
static bool is_wanted(const struct virtio_dev *d)
{
	u16 command = word_at(&d->pci, PCI_COMMAND);

	return d->status & VIRTIO_CONFIG_S_DRIVER_OK && !msix_enabled(&d->msix) && d->isr.bits &&
	       !(command & PCI_COMMAND_INTX_DISABLE);
}

void machine_eoi(unsigned int dev)
{
	u32 gsi = machine_gsi(dev);
	bool wanted = false;
	unsigned int i;

	fakekvm_eoi(gsi);
	machine_pump();
	for (i = 0; i < machine_nr_devices(); i++)
		wanted |= machine_gsi(i) == gsi && is_wanted(dev_at(i));
	/* A late main thread may yet raise it, but not without a reason. */
	CHECK(wanted || !fakekvm_is_high(gsi), "GSI %u: an interrupt for nothing follows an EOI", gsi);
	CHECK(!wanted || m.late || fakekvm_is_high(gsi), "GSI %u: an interrupt is lost at an EOI", gsi);
}

bool machine_is_pending(unsigned int dev, unsigned int vector)
{
	u64 pba = machine_bar(dev, BAR_MSIX) + AT_PBA;

	return machine_read(false, pba + vector / 32 * 4, 4) >> vector % 32 & 1;
}

/* ---- What must be so --------------------------------------------------------------------- */

static void check_bus(const struct bus *bus)
{
	unsigned int i;

	for (i = 1; i < bus->nr; i++)
		CHECK(bus->range[i - 1]->base + (bus->range[i - 1]->len - 1) < bus->range[i]->base,
		      "ranges at %#lx and %#lx overlap", bus->range[i - 1]->base, bus->range[i]->base);
}

static bool bus_has(const struct bus *bus, const struct bus_range *r)
{
	unsigned int i;

	for (i = 0; i < bus->nr; i++)
		if (bus->range[i] == r)
			return true;
	return false;
}

/* Whether something else is where [base, base + len) would be. */
static bool is_taken(const struct bus *bus, u64 base, u64 len)
{
	unsigned int i;

	for (i = 0; i < bus->nr; i++) {
		const struct bus_range *r = bus->range[i];

		if (r->base <= base + (len - 1) && base <= r->base + (r->len - 1))
			return true;
	}
	return false;
}

/* PCI 3.0, 6.2.5: it decodes where its register says while its kind of decoding is on. */
static void check_bar(struct pci_dev *pci, unsigned int nr)
{
	struct pci_bar *bar = &pci->bar[nr];
	const struct bus *bus = bar->io ? &m.vm.pio : &m.vm.mmio;
	u32 off = PCI_BASE_ADDRESS_0 + 4 * nr, command = word_at(pci, PCI_COMMAND);
	u64 at;

	if (!bar->bytes)
		return;
	at = bar->io ? word_at(pci, off) & ~3U : (word_at(pci, off) & ~15U) | (u64)word_at(pci, off + 4) << 32;
	CHECK(!(at & (bar->bytes - 1)), "BAR %u at %#lx, of %#lx bytes", nr, at, bar->bytes);
	if (!(command & (bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		at = 0;
	CHECK(bar->mapped == bus_has(bus, &bar->range), "BAR %u", nr);
	if (bar->mapped) {
		CHECK(bar->range.base == at && at, "BAR %u is at %#lx, not %#lx", nr, bar->range.base, at);
		return;
	}
	CHECK(!at || (bar->io && at > 0xffff) || (!bar->io && at < MACHINE_RAM_BYTES) ||
	      is_taken(bus, at, bar->bytes), "BAR %u is not at %#lx, where nobody is", nr, at);
}

static u32 check_doorbells(struct virtio_dev *d)
{
	const struct pci_bar *bar = &d->pci.bar[d->notify_pio ? BAR_PIO : BAR_VIRTIO];
	u32 i, armed = 0;

	for (i = 0; i < d->nr_queues; i++) {
		u64 at = bar->range.base + (d->notify_pio ? 0 : AT_NOTIFY) + DOORBELL_BYTES * i;

		CHECK(d->q[i].bell.armed == bar->mapped, "%s: doorbell %u", d->name, i);
		if (!bar->mapped)
			continue;
		armed++;
		CHECK(fakekvm_has_doorbell(d->ring[i].kick_fd, at, d->notify_pio),
		      "%s: no doorbell %u at %#lx", d->name, i, at);
	}
	return armed;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* PCI 3.0, 6.8.2: an unmasked vector interrupts, a masked one remembers; so does one that KVM has no route for. */
static u32 check_vectors(unsigned int dev, struct virtio_dev *d)
{
	u16 flags = word_at(&d->pci, d->msix.cap) >> 16;
	u32 i, attached = 0;

	for (i = 0; i < d->msix.nr; i++) {
		struct msix_vector *v = &d->msix.vector[i];
		struct owed *o = &m.vector[dev][i];
		bool open = flags & PCI_MSIX_FLAGS_ENABLE && !(flags & PCI_MSIX_FLAGS_MASKALL) && !(v->ctrl & 1);

		/* It may have been masked again since. */
		bool came = fakekvm_injected(v->fd) > o->injected;

		CHECK(fakekvm_has_irqfd(v->fd, v->gsi) == (open && v->gsi), "%s: vector %u", d->name, i);
		CHECK(!open || v->gsi || m.vm.irq.nr_msi == m.vm.irq.max_msi, "%s: vector %u has no GSI", d->name, i);
		if (!open || !v->gsi) {
			CHECK(!o->owed || came || readable(v->fd), "%s: vector %u: a masked event was lost", d->name, i);
			o->owed &= !came;
			continue;
		}
		attached++;
		CHECK(fakekvm_routes(v->gsi, (u64)v->addr_hi << 32 | v->addr_lo, v->data),
		      "%s: vector %u: not the table's message", d->name, i);
		CHECK(!readable(v->fd), "%s: vector %u keeps what was delivered", d->name, i);
		CHECK(!o->owed || came, "%s: vector %u: an event was lost", d->name, i);
		o->owed = false;
	}
	return attached;
}

/* VIRTIO 1.2, 4.1.4.5. Return: whether the pin is attached. */
static bool check_pin(unsigned int dev, struct virtio_dev *d)
{
	bool on = d->status & VIRTIO_CONFIG_S_DRIVER_OK && !msix_enabled(&d->msix);
	struct intx *pin = &d->isr.pin.pin;
	u32 i;

	CHECK(d->isr.on == on, "%s: INTx is %u", d->name, d->isr.on);
	CHECK(on || !pin->attached, "%s: its pin is on the line", d->name);
	CHECK(fakekvm_has_irqfd(pin->fd, machine_gsi(dev)) == pin->attached, "%s: pin", d->name);
	CHECK(!(word_at(&d->pci, PCI_COMMAND) >> 16 & PCI_STATUS_INTERRUPT) == !(on && d->isr.bits), "%s: status", d->name);
	for (i = 0; i < d->nr_queues; i++) {
		struct owed *o = &m.queue[dev][i];

		if (o->owed && d->q[i].vector != MSIX_NO_VECTOR && fakekvm_injected(d->ring[i].call_fd) > o->injected)
			o->owed = false;
		CHECK(!o->owed || !on || m.late || d->isr.bits & ISR_QUEUE, "%s: an event of queue %u was lost", d->name, i);
	}
	CHECK(!is_wanted(d) || m.late || fakekvm_is_high(machine_gsi(dev)), "%s: an interrupt was lost", d->name);
	return pin->attached;
}

/* VIRTIO 1.2, 2.1, 3.1 and 4.1.4.3 */
static void check_device(struct virtio_dev *d)
{
	u8 s = d->status;
	u64 wanted = 0;
	u32 i;

	CHECK(!(s & VIRTIO_CONFIG_S_DRIVER_OK) || s & VIRTIO_CONFIG_S_FEATURES_OK, "%s: status %#x", d->name, s);
	CHECK(!(s & VIRTIO_CONFIG_S_FEATURES_OK) || !(d->acked & ~d->offered), "%s: features", d->name);
	CHECK(!d->running || s & VIRTIO_CONFIG_S_DRIVER_OK, "%s: runs without a driver", d->name);
	CHECK(d->running || d->held || s & VIRTIO_CONFIG_S_NEEDS_RESET || !(s & VIRTIO_CONFIG_S_DRIVER_OK),
	      "%s: its driver thinks that it runs", d->name);
	CHECK(d->datapath->ops != &fakedp_ops || fakedp_runs(d->datapath) == d->running, "%s: datapath", d->name);
	CHECK(d->config_vector < d->msix.nr || d->config_vector == MSIX_NO_VECTOR, "%s: config vector", d->name);
	for (i = 0; i < d->nr_queues; i++) {
		CHECK(d->ring[i].num && d->ring[i].num <= d->queue_size, "%s: queue of %u", d->name, d->ring[i].num);
		CHECK(d->q[i].vector < d->msix.nr || d->q[i].vector == MSIX_NO_VECTOR, "%s: vector", d->name);
		/* 2.6.1 */
		CHECK(!d->q[i].was_reset || (!d->ring[i].enabled && s & VIRTIO_CONFIG_S_FEATURES_OK &&
					     d->acked & 1UL << VIRTIO_F_RING_RESET), "%s: queue %u: reset", d->name, i);
		CHECK(!d->q[i].resetting, "%s: queue %u: its reset does not end", d->name, i);
		wanted |= (u64)datapath_serves(d, i) << i;
	}
	CHECK(!d->stopping, "%s: a stop does not end", d->name);
	CHECK(d->datapath->ops != &fakedp_ops || fakedp_served(d->datapath) == (d->running ? wanted : 0),
	      "%s: queues %#llx are served, of %#llx", d->name, (unsigned long long)fakedp_served(d->datapath),
	      (unsigned long long)wanted);
}

static void check_read_only(const struct virtio_dev *d)
{
	u32 i;

	for (i = 0; i < PCI_CFG_BYTES; i++) {
		u8 mask = d->pci.wmask[i] | (i == PCI_STATUS ? PCI_STATUS_INTERRUPT : 0);

		CHECK((d->pci.cfg[i] & ~mask) == (d->pci.reset_cfg[i] & ~mask),
		      "%s: config byte %#x: its fixed bits changed", d->name, i);
	}
}

void machine_check(void)
{
	u32 doorbells = 0, irqfds = 0;
	unsigned int i, nr;

	pthread_mutex_lock(&m.vm.lock);
	check_bus(&m.vm.pio);
	check_bus(&m.vm.mmio);
	for (i = 0; i < machine_nr_devices(); i++) {
		struct virtio_dev *d = dev_at(i);

		for (nr = 0; nr < PCI_NR_BARS; nr++)
			check_bar(&d->pci, nr);
		check_read_only(d);
		check_device(d);
		doorbells += check_doorbells(d);
		irqfds += check_vectors(i, d) + check_pin(i, d);
	}
	CHECK(doorbells == fakekvm_nr_doorbells(), "KVM has %u doorbells, not %u", fakekvm_nr_doorbells(), doorbells);
	CHECK(irqfds == fakekvm_nr_irqfds(), "KVM has %u irqfds, not %u", fakekvm_nr_irqfds(), irqfds);
	pthread_mutex_unlock(&m.vm.lock);
}
