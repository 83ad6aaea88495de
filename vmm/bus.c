// SPDX-License-Identifier: GPL-2.0
/*
 * Finds who answers an address: one table for ports, one for memory.
 *
 * in:  an access that left the guest, address and width
 * out: a call of the owner of the range, which holds all of the access
 *
 * Everything here runs under vm->lock, the handlers included. That is what makes
 * it safe to move a BAR: no access can be under way in the range, and since the
 * dispatcher is done with the table before it calls the handler, a handler may
 * change the table as it likes.
 */
#include <errno.h>
#include <string.h>

#include "vmm.h"

/* Index of the first range that ends above @addr. */
static unsigned int bus_position(const struct bus *bus, u64 addr)
{
	unsigned int lo = 0, hi = bus->nr;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;
		const struct bus_range *r = bus->range[mid];

		if (r->base + (r->len - 1) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int bus_add(struct bus *bus, struct bus_range *r)
{
	unsigned int at;

	if (!r->len || r->base + (r->len - 1) < r->base)
		return -EINVAL;
	if (bus->nr == BUS_MAX_RANGES)
		return -ENOSPC;
	at = bus_position(bus, r->base);
	if (at < bus->nr && bus->range[at]->base <= r->base + (r->len - 1))
		return -EBUSY;
	memmove(&bus->range[at + 1], &bus->range[at],
		(bus->nr - at) * sizeof(bus->range[0]));
	bus->range[at] = r;
	bus->nr++;
	return 0;
}

void bus_remove(struct bus *bus, struct bus_range *r)
{
	unsigned int at = bus_position(bus, r->base);

	if (at == bus->nr || bus->range[at] != r)
		return;
	bus->nr--;
	memmove(&bus->range[at], &bus->range[at + 1],
		(bus->nr - at) * sizeof(bus->range[0]));
}

static struct bus_range *bus_find(const struct bus *bus, u64 addr, unsigned int len)
{
	unsigned int at = bus_position(bus, addr);
	struct bus_range *r;

	if (at == bus->nr)
		return NULL;
	r = bus->range[at];
	if (addr < r->base || addr - r->base > r->len - 1 ||
	    r->len - (addr - r->base) < len)
		return NULL;
	return r;
}

u64 bus_read(struct bus *bus, u64 addr, unsigned int len)
{
	struct bus_range *r = bus_find(bus, addr, len);

	return r ? r->ops->read(r->dev, addr - r->base, len) : ~0UL;
}

void bus_write(struct bus *bus, u64 addr, unsigned int len, u64 val)
{
	struct bus_range *r = bus_find(bus, addr, len);

	if (r)
		r->ops->write(r->dev, addr - r->base, len, val);
}
