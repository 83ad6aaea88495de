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

#define MAX_GSIS	1024
#define MAX_IRQFDS	1024
#define MAX_DOORBELLS	1024

struct route {
	bool set;
	u64 addr;
	u32 data;
};

struct irqfd {
	int fd;
	u32 gsi;
};

struct doorbell_at {
	int fd;
	u64 addr;
	bool pio;
};

static struct {
	int fd;
	struct route routes[MAX_GSIS];
	u64 injected[MAX_GSIS];
	u32 nr_irqfds, nr_doorbells;
	struct irqfd irqfds[MAX_IRQFDS];
	struct doorbell_at doorbells[MAX_DOORBELLS];
	u64 last_addr;
	u32 last_data;
} kvm = { .fd = -1 };

int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_ioctl(int fd, unsigned long request, ...);

static int fail(int err)
{
	errno = err;
	return -1;
}

static void inject(u32 gsi)
{
	CHECK(kvm.routes[gsi].set, "an event for GSI %u, which has no route, is lost", gsi);
	kvm.injected[gsi]++;
	kvm.last_addr = kvm.routes[gsi].addr;
	kvm.last_data = kvm.routes[gsi].data;
}

/* kvm_set_irq_routing(): the table as a whole. */
static int set_routes(const struct kvm_irq_routing *t)
{
	u32 i;

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

/* kvm_irqfd_assign() looks at the counter, and leaves it as it is. */
static int set_irqfd(const struct kvm_irqfd *arg)
{
	u32 i;

	for (i = 0; i < kvm.nr_irqfds && kvm.irqfds[i].fd != (int)arg->fd; i++)
		;
	if (arg->flags & KVM_IRQFD_FLAG_DEASSIGN) {
		CHECK(i < kvm.nr_irqfds && kvm.irqfds[i].gsi == arg->gsi,
		      "fd %u is detached from GSI %u, and was not attached", arg->fd, arg->gsi);
		kvm.irqfds[i] = kvm.irqfds[--kvm.nr_irqfds];
		return 0;
	}
	if (i < kvm.nr_irqfds)
		return fail(EBUSY);
	CHECK(kvm.nr_irqfds < MAX_IRQFDS && arg->gsi < MAX_GSIS, "GSI %u", arg->gsi);
	kvm.irqfds[kvm.nr_irqfds++] = (struct irqfd) { arg->fd, arg->gsi };
	if (readable(arg->fd))
		inject(arg->gsi);
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
	return kvm.fd;
}

void fakekvm_pump(void)
{
	u32 i;

	for (i = 0; i < kvm.nr_irqfds; i++)
		if (ev_take(kvm.irqfds[i].fd))
			inject(kvm.irqfds[i].gsi);
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

u64 fakekvm_injected(u32 gsi)
{
	return kvm.injected[gsi];
}

u64 fakekvm_last_addr(void)
{
	return kvm.last_addr;
}

u32 fakekvm_last_data(void)
{
	return kvm.last_data;
}
