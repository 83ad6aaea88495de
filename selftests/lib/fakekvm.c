// SPDX-License-Identifier: GPL-2.0
/*
 * A VM of KVM without vCPUs, in this process: see fakekvm.h.
 */
#include "fakekvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_GSIS	8192
#define MAX_IRQFDS	1024
#define MAX_DOORBELLS	1024
#define MAX_FDS		4096
#define NR_PINS		24	/* of the I/O APIC: GSIs below are lines */

struct route {
	bool set;
	u64 addr;
	u32 data;
};

struct irqfd {
	int fd;
	int resample_fd;	/* -1: a message's */
	u32 gsi;
};

/* What resampling irqfds make of a line, and the CPU's part: between an interrupt and its EOI there is no other. */
struct line {
	bool high;
	bool in_service;
	u64 interrupts;
};

struct doorbell_at {
	int fd;
	u64 addr;
	bool pio;
};

static struct {
	int fd;
	u32 max_routes;
	struct route routes[MAX_GSIS];
	struct line lines[NR_PINS];
	u64 injected[MAX_FDS];
	u32 nr_irqfds, nr_doorbells;
	struct irqfd irqfds[MAX_IRQFDS];
	struct doorbell_at doorbells[MAX_DOORBELLS];
	u64 last_addr;
	u32 last_data;
} kvm = { .fd = -1, .max_routes = 4096 };

int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_ioctl(int fd, unsigned long request, ...);

static int fail(int err)
{
	errno = err;
	return -1;
}

/* irqfd_inject(), kvm_arch_set_irq_inatomic() */
static void inject(const struct irqfd *i)
{
	if (i->resample_fd >= 0) {
		kvm.lines[i->gsi].high = true;
		return;
	}
	CHECK(kvm.routes[i->gsi].set, "an event for GSI %u, which has no route, is lost", i->gsi);
	kvm.injected[i->fd]++;
	kvm.last_addr = kvm.routes[i->gsi].addr;
	kvm.last_data = kvm.routes[i->gsi].data;
}

/* kvm_set_irq_routing(): the table as a whole. */
static int set_routes(const struct kvm_irq_routing *t)
{
	u32 i;

	if (t->nr > kvm.max_routes)
		return fail(EINVAL);
	memset(kvm.routes, 0, sizeof(kvm.routes));
	for (i = 0; i < t->nr; i++) {
		const struct kvm_irq_routing_entry *e = &t->entries[i];

		CHECK(!e->flags && e->gsi < MAX_GSIS, "route %u: GSI %u, flags %#x", i, e->gsi, e->flags);
		if (e->type != KVM_IRQ_ROUTING_MSI)
			continue;
		CHECK(!kvm.routes[e->gsi].set, "GSI %u: two messages", e->gsi);
		kvm.routes[e->gsi] = (struct route) {
			true, (u64)e->u.msi.address_hi << 32 | e->u.msi.address_lo, e->u.msi.data
		};
	}
	return 0;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* irqfd_resampler_shutdown(): a line falls with the last one. */
static void take_irqfd_away(u32 at)
{
	struct irqfd gone = kvm.irqfds[at];
	u32 i;

	kvm.irqfds[at] = kvm.irqfds[--kvm.nr_irqfds];
	if (gone.resample_fd < 0)
		return;
	for (i = 0; i < kvm.nr_irqfds; i++)
		if (kvm.irqfds[i].gsi == gone.gsi)
			return;
	kvm.lines[gone.gsi].high = false;
}

/* kvm_irqfd_assign() looks at the counter, and leaves it as it is. */
static int set_irqfd(const struct kvm_irqfd *arg)
{
	bool resample = arg->flags & KVM_IRQFD_FLAG_RESAMPLE;
	u32 i;

	for (i = 0; i < kvm.nr_irqfds && kvm.irqfds[i].fd != (int)arg->fd; i++)
		;
	if (arg->flags & KVM_IRQFD_FLAG_DEASSIGN) {
		CHECK(i < kvm.nr_irqfds && kvm.irqfds[i].gsi == arg->gsi,
		      "fd %u is detached from GSI %u, and was not attached", arg->fd, arg->gsi);
		take_irqfd_away(i);
		return 0;
	}
	if (i < kvm.nr_irqfds)
		return fail(EBUSY);
	CHECK(kvm.nr_irqfds < MAX_IRQFDS && arg->gsi < MAX_GSIS && arg->fd < MAX_FDS, "GSI %u", arg->gsi);
	CHECK(resample == (arg->gsi < NR_PINS), "GSI %u: a line resamples, a message does not", arg->gsi);
	kvm.irqfds[kvm.nr_irqfds++] = (struct irqfd) { arg->fd, resample ? (int)arg->resamplefd : -1, arg->gsi };
	if (readable(arg->fd))
		inject(&kvm.irqfds[kvm.nr_irqfds - 1]);
	return 0;
}

/* kvm_assign_ioeventfd_idx(): length 0 collides with all at its address. */
static int set_doorbell(const struct kvm_ioeventfd *arg)
{
	bool pio = arg->flags & KVM_IOEVENTFD_FLAG_PIO;
	u32 i;

	CHECK(!arg->len && !(arg->flags & KVM_IOEVENTFD_FLAG_DATAMATCH), "not of any length and value");
	for (i = 0; i < kvm.nr_doorbells; i++)
		if (kvm.doorbells[i].addr == arg->addr && kvm.doorbells[i].pio == pio)
			break;
	if (arg->flags & KVM_IOEVENTFD_FLAG_DEASSIGN) {
		CHECK(i < kvm.nr_doorbells && kvm.doorbells[i].fd == arg->fd,
		      "a doorbell at %#llx is taken away, and was not there", arg->addr);
		kvm.doorbells[i] = kvm.doorbells[--kvm.nr_doorbells];
		return 0;
	}
	if (i < kvm.nr_doorbells)
		return fail(EEXIST);
	CHECK(kvm.nr_doorbells < MAX_DOORBELLS, "doorbells");
	kvm.doorbells[kvm.nr_doorbells++] = (struct doorbell_at) { arg->fd, arg->addr, pio };
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (fd != kvm.fd)
		return __real_ioctl(fd, request, arg);
	switch (request) {
	case KVM_CHECK_EXTENSION:
		CHECK(arg == (void *)KVM_CAP_IRQ_ROUTING, "an extension that is not modelled");
		return kvm.max_routes;
	case KVM_CREATE_IRQCHIP:
	case KVM_IRQ_LINE:
		return 0;
	case KVM_SET_GSI_ROUTING:
		return set_routes(arg);
	case KVM_IRQFD:
		return set_irqfd(arg);
	case KVM_IOEVENTFD:
		return set_doorbell(arg);
	}
	CHECK(false, "ioctl %#lx is not modelled", request);
}

int fakekvm_new(void)
{
	CHECK(!kvm.nr_irqfds && !kvm.nr_doorbells, "%u irqfds and %u doorbells outlive their VM",
	      kvm.nr_irqfds, kvm.nr_doorbells);
	if (kvm.fd < 0)
		kvm.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	CHECK(kvm.fd >= 0, "/dev/null");
	memset(kvm.routes, 0, sizeof(kvm.routes));
	memset(kvm.lines, 0, sizeof(kvm.lines));
	return kvm.fd;
}

void fakekvm_set_max_routes(u32 nr)
{
	kvm.max_routes = nr;
}

void fakekvm_pump(void)
{
	u32 i;

	for (i = 0; i < kvm.nr_irqfds; i++)
		if (ev_take(kvm.irqfds[i].fd))
			inject(&kvm.irqfds[i]);
}

bool fakekvm_is_high(u32 gsi)
{
	return kvm.lines[gsi].high;
}

bool fakekvm_interrupt(u32 gsi)
{
	struct line *l = &kvm.lines[gsi];

	if (!l->high || l->in_service)
		return false;
	l->in_service = true;
	l->interrupts++;
	return true;
}

/* irqfd_resampler_ack() */
void fakekvm_eoi(u32 gsi)
{
	u32 i;

	kvm.lines[gsi].in_service = false;
	kvm.lines[gsi].high = false;
	for (i = 0; i < kvm.nr_irqfds; i++)
		if (kvm.irqfds[i].gsi == gsi && kvm.irqfds[i].resample_fd >= 0)
			ev_signal(kvm.irqfds[i].resample_fd);
}

u64 fakekvm_interrupts(u32 gsi)
{
	return kvm.lines[gsi].interrupts;
}

bool fakekvm_has_irqfd(int fd, u32 gsi)
{
	u32 i;

	for (i = 0; i < kvm.nr_irqfds; i++)
		if (kvm.irqfds[i].fd == fd && kvm.irqfds[i].gsi == gsi)
			return true;
	return false;
}

u32 fakekvm_nr_irqfds(void)
{
	return kvm.nr_irqfds;
}

bool fakekvm_has_doorbell(int fd, u64 addr, bool pio)
{
	u32 i;

	for (i = 0; i < kvm.nr_doorbells; i++) {
		const struct doorbell_at *d = &kvm.doorbells[i];

		if (d->fd == fd && d->addr == addr && d->pio == pio)
			return true;
	}
	return false;
}

u32 fakekvm_nr_doorbells(void)
{
	return kvm.nr_doorbells;
}

bool fakekvm_routes(u32 gsi, u64 addr, u32 data)
{
	const struct route *r = &kvm.routes[gsi];

	return r->set && r->addr == addr && r->data == data;
}

u64 fakekvm_injected(int fd)
{
	return kvm.injected[fd];
}

u64 fakekvm_last_addr(void)
{
	return kvm.last_addr;
}

u32 fakekvm_last_data(void)
{
	return kvm.last_data;
}
