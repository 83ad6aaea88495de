// SPDX-License-Identifier: GPL-2.0
/*
 * Resets of the VMM's devices and of single queues, as a guest without a CPU asks for them; natively.
 *
 * in:  accesses to the common configuration, from one thread or two; rings in guest memory
 * out: what VIRTIO 1.2, 2.1, 2.4 and 2.6.1 want, and a VMM that answers everybody else meanwhile
 *
 * What is in flight is the fake datapath's to say (lib/machine.h); vmm_blk_queue has the disk's own threads.
 */
#include "lib/machine.h"

#include "kselftest_harness.h"

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define WINDOW		0xd0000000UL
#define NUM		64
#define RINGS		0x10000UL
#define F_RING_RESET	(1UL << VIRTIO_F_RING_RESET)
#define F_PACKED	(1UL << VIRTIO_F_RING_PACKED)

FIXTURE(driver)
{
	u64 offered;
};

FIXTURE_SETUP(driver)
{
	unsigned int dev;

	machine_init();
	for (dev = 0; dev < NR_MACHINE_DEVICES; dev++) {
		machine_place(dev, 0, WINDOW + 0x10000 * dev);
		machine_place(dev, 2, WINDOW + 0x10000 * dev + 0x8000);
	}
	self->offered = virtio_dev_at(DISK)->offered;
}

FIXTURE_TEARDOWN(driver)
{
	machine_check();
	machine_reset();
}

static u8 status(unsigned int dev)
{
	return machine_common_read(dev, VIRTIO_PCI_COMMON_STATUS, 1);
}

static u16 field(unsigned int dev, unsigned int q, u64 off)
{
	machine_common_write(dev, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
	return machine_common_read(dev, off, 2);
}

static void reset_queue(unsigned int dev, unsigned int q)
{
	machine_common_write(dev, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
	machine_common_write(dev, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
}

static void reset_device(unsigned int dev)
{
	machine_common_write(dev, VIRTIO_PCI_COMMON_STATUS, 1, 0);
}

/* ---- Queue reset (2.6.1, 4.1.4.3) ---------------------------------------------------------------- */

TEST_F(driver, every_class_offers_queue_reset)
{
	unsigned int dev;

	for (dev = 0; dev < NR_MACHINE_DEVICES; dev++) {
		machine_common_write(dev, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
		EXPECT_TRUE(machine_common_read(dev, VIRTIO_PCI_COMMON_DF, 4) & F_RING_RESET >> 32);
	}
}

static void expect_default(struct __test_metadata *_metadata, unsigned int q)
{
	u64 off;

	EXPECT_EQ(virtio_dev_at(DISK)->queue_size, field(DISK, q, VIRTIO_PCI_COMMON_Q_SIZE));
	EXPECT_EQ(0, field(DISK, q, VIRTIO_PCI_COMMON_Q_ENABLE));
	EXPECT_EQ(0, field(DISK, q, VIRTIO_PCI_COMMON_Q_RESET));
	EXPECT_EQ(VIRTIO_MSI_NO_VECTOR, field(DISK, q, VIRTIO_PCI_COMMON_Q_MSIX));
	for (off = VIRTIO_PCI_COMMON_Q_DESCLO; off <= VIRTIO_PCI_COMMON_Q_USEDHI; off += 4)
		EXPECT_EQ(0, machine_common_read(DISK, off, 4));
}

TEST_F(driver, queue_that_was_reset_is_as_at_first)
{
	machine_drive(DISK, self->offered, 0xf, NUM, RINGS);
	reset_queue(DISK, 1);
	expect_default(_metadata, 1);
	EXPECT_EQ(1, field(DISK, 2, VIRTIO_PCI_COMMON_Q_ENABLE));
	EXPECT_EQ(NUM, field(DISK, 2, VIRTIO_PCI_COMMON_Q_SIZE));
}

TEST_F(driver, other_queues_go_on)
{
	machine_drive(DISK, self->offered, 0xf, NUM, RINGS);
	reset_queue(DISK, 1);
	EXPECT_EQ(0xd, machine_served(DISK));
	reset_queue(DISK, 3);
	EXPECT_EQ(0x5, machine_served(DISK));
	EXPECT_EQ(1, machine_starts(DISK));
	EXPECT_EQ(VIRTIO_CONFIG_S_DRIVER_OK, status(DISK) & (VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET));
}

TEST_F(driver, queue_comes_back_with_another_ring)
{
	machine_drive(DISK, self->offered, 0xf, NUM, RINGS);
	reset_queue(DISK, 1);
	machine_drive_queue(DISK, 1, NUM / 2, 4 * RINGS);
	EXPECT_EQ(0xf, machine_served(DISK));
	EXPECT_EQ(NUM / 2, field(DISK, 1, VIRTIO_PCI_COMMON_Q_SIZE));
	EXPECT_EQ(4 * RINGS, machine_common_read(DISK, VIRTIO_PCI_COMMON_Q_DESCLO, 4));
	EXPECT_EQ(2, field(DISK, 1, VIRTIO_PCI_COMMON_Q_MSIX));
	EXPECT_EQ(0, field(DISK, 1, VIRTIO_PCI_COMMON_Q_RESET));
	/* From now on its fields are inert again; and the device's reset is one of all queues. */
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_SIZE, 2, 16);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0);
	EXPECT_EQ(NUM / 2, field(DISK, 1, VIRTIO_PCI_COMMON_Q_SIZE));
	EXPECT_EQ(4 * RINGS, machine_common_read(DISK, VIRTIO_PCI_COMMON_Q_DESCLO, 4));
	reset_device(DISK);
	EXPECT_EQ(0, machine_served(DISK));
	expect_default(_metadata, 1);
	machine_drive(DISK, self->offered, 0xf, NUM, RINGS);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_SIZE, 2, 16);
	EXPECT_EQ(NUM, field(DISK, 1, VIRTIO_PCI_COMMON_Q_SIZE));
}

TEST_F(driver, queue_that_is_not_enabled_may_be_reset_and_then_set_up)
{
	machine_drive(DISK, self->offered, 0x3, NUM, RINGS);
	/* After DRIVER_OK it is too late for that otherwise. */
	machine_drive_queue(DISK, 2, NUM, 4 * RINGS);
	EXPECT_EQ(0x3, machine_served(DISK));
	reset_queue(DISK, 2);
	EXPECT_EQ(0x3, machine_served(DISK));
	expect_default(_metadata, 2);
	machine_drive_queue(DISK, 2, NUM, 4 * RINGS);
	EXPECT_EQ(0x7, machine_served(DISK));
	/* Of no queue at all nothing. */
	reset_queue(DISK, 4);
	EXPECT_EQ(0, field(DISK, 4, VIRTIO_PCI_COMMON_Q_RESET));
}

TEST_F(driver, reset_before_driver_ok_undoes_the_set_up)
{
	u8 s = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;

	/* All of it, but for the last step. */
	machine_drive(DISK, self->offered, 0, NUM, RINGS);
	reset_device(DISK);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_GF, 4, self->offered >> 32);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_STATUS, 1, s);
	ASSERT_EQ(s, status(DISK));
	machine_drive_queue(DISK, 1, NUM, RINGS);
	machine_drive_queue(DISK, 2, NUM, 2 * RINGS);
	reset_queue(DISK, 1);
	expect_default(_metadata, 1);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_STATUS, 1, s | VIRTIO_CONFIG_S_DRIVER_OK);
	EXPECT_EQ(0x4, machine_served(DISK));
}

TEST_F(driver, nothing_but_1_resets_a_queue)
{
	static const u16 values[] = { 0, 2, 0xffff };
	unsigned int i;

	machine_drive(DISK, self->offered, 0xf, NUM, RINGS);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	for (i = 0; i < ARRAY_SIZE(values); i++)
		machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_RESET, 2, values[i]);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_RESET, 1, 1);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_NDATA, 4, 1U << 16);
	EXPECT_EQ(0xf, machine_served(DISK));
	EXPECT_EQ(1, field(DISK, 1, VIRTIO_PCI_COMMON_Q_ENABLE));
}

TEST_F(driver, without_the_feature_there_is_no_such_field)
{
	machine_drive(DISK, self->offered & ~F_RING_RESET, 0xf, NUM, RINGS);
	reset_queue(DISK, 1);
	EXPECT_EQ(0xf, machine_served(DISK));
	EXPECT_EQ(0, field(DISK, 1, VIRTIO_PCI_COMMON_Q_RESET));
	EXPECT_EQ(1, field(DISK, 1, VIRTIO_PCI_COMMON_Q_ENABLE));
	/* Nor before the features are settled. */
	reset_device(DISK);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_GF, 4, self->offered >> 32);
	machine_drive_queue(DISK, 1, NUM, RINGS);
	reset_queue(DISK, 1);
	EXPECT_EQ(1, field(DISK, 1, VIRTIO_PCI_COMMON_Q_ENABLE));
}

TEST_F(driver, queue_that_comes_back_outside_memory_wants_a_reset)
{
	machine_drive(DISK, self->offered, 0xf, NUM, RINGS);
	reset_queue(DISK, 1);
	machine_drive_queue(DISK, 1, NUM, MACHINE_RAM_BYTES - 16);
	EXPECT_TRUE(status(DISK) & VIRTIO_CONFIG_S_NEEDS_RESET);
	EXPECT_EQ(0, field(DISK, 1, VIRTIO_PCI_COMMON_Q_ENABLE));
	EXPECT_EQ(0xd, machine_served(DISK));
	machine_drive(DISK, self->offered, 0xf, NUM, RINGS);
	EXPECT_EQ(0xf, machine_served(DISK));
	EXPECT_FALSE(status(DISK) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* 2.6.1.1.1: no notification for it; but for others there may be one. */
TEST_F(driver, event_that_is_pending_goes_with_its_queue)
{
	machine_drive(DISK, self->offered, 0xf, NUM, RINGS);
	machine_raise(DISK, 2);
	machine_raise(DISK, 3);
	reset_queue(DISK, 1);
	EXPECT_FALSE(machine_is_pending(DISK, 2));
	EXPECT_TRUE(machine_is_pending(DISK, 3));

	reset_device(DISK);
	machine_drive(DISK, self->offered, 0, NUM, RINGS);
	reset_queue(DISK, 0);
	reset_queue(DISK, 1);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_MSIX, 2, 4);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_MSIX, 2, 4);
	machine_raise(DISK, 4);
	reset_queue(DISK, 1);
	EXPECT_TRUE(machine_is_pending(DISK, 4));
	reset_queue(DISK, 0);
	EXPECT_FALSE(machine_is_pending(DISK, 4));
}

TEST_F(driver, paused_vm_keeps_to_what_its_driver_did)
{
	struct virtio_dev *disk = virtio_dev_at(DISK);

	machine_drive(DISK, self->offered, 0x7, NUM, RINGS);
	pthread_mutex_lock(&disk->vm->lock);
	virtio_hold_all();
	pthread_mutex_unlock(&disk->vm->lock);
	reset_queue(DISK, 0);
	reset_queue(DISK, 1);
	machine_drive_queue(DISK, 1, NUM, 4 * RINGS);
	EXPECT_EQ(0, machine_served(DISK));
	pthread_mutex_lock(&disk->vm->lock);
	virtio_unhold_all();
	pthread_mutex_unlock(&disk->vm->lock);
	EXPECT_EQ(0x6, machine_served(DISK));
}

/* ---- What is in flight takes its time ---------------------------------------------------------------- */

struct vcpu_write {
	pthread_t thread;
	u64 off;
	unsigned int len;
	u64 val;
};

static void *write_it(void *arg)
{
	struct vcpu_write *w = arg;

	machine_common_write(DISK, w->off, w->len, w->val);
	return NULL;
}

/* A vCPU of its own for one access. */
static void begin_write(struct vcpu_write *w)
{
	CHECK(!pthread_create(&w->thread, NULL, write_it, w), "thread");
}

static bool has_ended(struct vcpu_write *w)
{
	return !pthread_tryjoin_np(w->thread, NULL);
}

/* The other device, and what the control socket's status reads; each would hang if the lock was held. */
static void expect_the_others_go_on(struct __test_metadata *_metadata)
{
	struct virtio_dev *disk = virtio_dev_at(DISK);
	struct datapath_stats s;
	char why[WHY_BYTES];

	machine_drive(RNG, virtio_dev_at(RNG)->offered, 1, NUM, RINGS);
	EXPECT_TRUE(machine_runs(RNG));
	reset_device(RNG);
	EXPECT_EQ(0, status(RNG));
	EXPECT_EQ(-1, datapath_switch(disk, &datapath_kernel, why));
	EXPECT_NE(NULL, strstr(why, "being reset")) TH_LOG("%s", why);
	pthread_mutex_lock(&disk->vm->lock);
	datapath_stats(disk, 0, &s);
	EXPECT_NE(NULL, disk->class->resize(disk, 2 * MIB));
	pthread_mutex_unlock(&disk->vm->lock);
}

TEST_F(driver, queue_reset_reads_1_until_the_queue_is_let_go)
{
	struct vcpu_write reset = { .off = VIRTIO_PCI_COMMON_Q_RESET, .len = 2, .val = 1 };

	machine_drive(DISK, self->offered, 0xf, NUM, RINGS);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	machine_stall(DISK);
	begin_write(&reset);
	machine_await_stall(DISK);
	EXPECT_EQ(1, machine_common_read(DISK, VIRTIO_PCI_COMMON_Q_RESET, 2));
	EXPECT_EQ(1, machine_common_read(DISK, VIRTIO_PCI_COMMON_Q_ENABLE, 2));
	EXPECT_EQ(NUM, machine_common_read(DISK, VIRTIO_PCI_COMMON_Q_SIZE, 2));
	EXPECT_EQ(0xf, machine_served(DISK));
	expect_the_others_go_on(_metadata);
	EXPECT_FALSE(has_ended(&reset));
	machine_let_go(DISK);
	pthread_join(reset.thread, NULL);
	expect_default(_metadata, 1);
	EXPECT_EQ(0xd, machine_served(DISK));
}

TEST_F(driver, status_is_not_0_until_the_device_is_reset)
{
	struct vcpu_write reset = { .off = VIRTIO_PCI_COMMON_STATUS, .len = 1, .val = 0 };

	machine_drive(DISK, self->offered, 0xf, NUM, RINGS);
	machine_stall(DISK);
	begin_write(&reset);
	machine_await_stall(DISK);
	EXPECT_TRUE(status(DISK) & VIRTIO_CONFIG_S_DRIVER_OK);
	expect_the_others_go_on(_metadata);
	EXPECT_FALSE(has_ended(&reset));
	machine_let_go(DISK);
	pthread_join(reset.thread, NULL);
	EXPECT_EQ(0, status(DISK));
	EXPECT_FALSE(machine_runs(DISK));
}

/* Both are done, one after the other, whatever the guest's vCPUs do at a time. */
TEST_F(driver, device_reset_waits_for_that_of_a_queue)
{
	struct vcpu_write queue = { .off = VIRTIO_PCI_COMMON_Q_RESET, .len = 2, .val = 1 };
	struct vcpu_write device = { .off = VIRTIO_PCI_COMMON_STATUS, .len = 1, .val = 0 };
	struct vcpu_write select = { .off = VIRTIO_PCI_COMMON_Q_SELECT, .len = 2, .val = 3 };

	machine_drive(DISK, self->offered, 0xf, NUM, RINGS);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	machine_stall(DISK);
	begin_write(&queue);
	machine_await_stall(DISK);
	begin_write(&device);
	begin_write(&select);
	EXPECT_EQ(1, machine_common_read(DISK, VIRTIO_PCI_COMMON_Q_RESET, 2));
	EXPECT_FALSE(has_ended(&device));
	EXPECT_FALSE(has_ended(&select));
	machine_let_go(DISK);
	pthread_join(queue.thread, NULL);
	pthread_join(device.thread, NULL);
	pthread_join(select.thread, NULL);
	EXPECT_EQ(0, status(DISK));
	EXPECT_EQ(0, machine_served(DISK));
}

/* ---- With the VMM's own thread on the queue ------------------------------------------------------------ */

#define BUFFERS		0x40000UL	/* NUM of them */
#define BUFFER_BYTES	256

static u8 *ram(u64 gpa)
{
	return guest_ptr(virtio_dev_at(RNG_USER)->vm, gpa, 1);
}

/* A split ring of NUM buffers for random bytes, all of them available; as machine_drive() lays it out. */
static void fill_ring(u64 at)
{
	struct vring_desc *desc = (void *)ram(at);
	struct vring_avail *avail = (void *)ram(at + 16 * NUM);
	u32 i;

	memset(desc, 0, 32 * NUM);
	for (i = 0; i < NUM; i++) {
		desc[i] = (struct vring_desc) {
			.addr = BUFFERS + i * BUFFER_BYTES, .len = BUFFER_BYTES, .flags = VRING_DESC_F_WRITE,
		};
		avail->ring[i] = i;
	}
	__atomic_store_n(&avail->idx, NUM, __ATOMIC_RELEASE);
}

static u16 nr_used(u64 at)
{
	return __atomic_load_n(&((struct vring_used *)ram(at + 20 * NUM))->idx, __ATOMIC_ACQUIRE);
}

static bool await_used(u64 at, u16 n)
{
	struct deadline d = deadline_in(DEADLINE_MS);

	while (nr_used(at) != n) {
		if (deadline_passed(&d))
			return false;
	}
	return true;
}

static void kick(void)
{
	machine_write(false, machine_bar(RNG_USER, 0) + 0x3000, 2, 0);
}

static u64 rng_features(void)
{
	return virtio_dev_at(RNG_USER)->offered & ~F_PACKED & ~(1UL << VIRTIO_RING_F_EVENT_IDX);
}

TEST_F(driver, ring_that_is_reset_is_left_alone_and_the_next_is_served)
{
	struct virtio_dev *rng = virtio_dev_at(RNG_USER);
	u32 round;

	fill_ring(RINGS);
	machine_drive(RNG_USER, rng_features(), 1, NUM, RINGS);
	ASSERT_TRUE(await_used(RINGS, NUM));
	for (round = 0; round < 100; round++) {
		u64 next = round & 1 ? RINGS : 2 * RINGS, old = 3 * RINGS - next;

		reset_queue(RNG_USER, 0);
		/* As if its memory was something else's. */
		fill_ring(old);
		kick();
		fill_ring(next);
		machine_drive_queue(RNG_USER, 0, NUM, next);
		ASSERT_TRUE(await_used(next, NUM));
		ASSERT_EQ(0, nr_used(old));
	}
	EXPECT_FALSE(status(RNG_USER) & VIRTIO_CONFIG_S_NEEDS_RESET);
	EXPECT_TRUE(rng->running);
}

/* The main thread's part, when the datapath says that a queue broke. */
static bool hear_of_breakage(unsigned int dev)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	int err_fd = virtio_dev_at(dev)->q[0].err.fd;

	/* Each access lets the main thread hear of it, the one that started the device too. */
	while (!(status(dev) & VIRTIO_CONFIG_S_NEEDS_RESET)) {
		if (deadline_passed(&end))
			return false;
		ev_wait(err_fd, 10);
	}
	return true;
}

TEST_F(driver, broken_ring_wants_a_reset_says_so_and_works_after_it)
{
	u32 round;

	for (round = 0; round < 20; round++) {
		fill_ring(RINGS);
		((struct vring_avail *)ram(RINGS + 16 * NUM))->ring[NUM / 2] = NUM;	/* no such descriptor */
		machine_drive(RNG_USER, rng_features(), 1, NUM, RINGS);
		ASSERT_TRUE(hear_of_breakage(RNG_USER));
		EXPECT_TRUE(machine_is_pending(RNG_USER, 0));
		/* What came before is the driver's. */
		EXPECT_EQ(NUM / 2, nr_used(RINGS));
		/* 2.1.2: it stays so until the reset, and no reset of the queue undoes it. */
		machine_common_write(RNG_USER, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_DRIVER_OK);
		reset_queue(RNG_USER, 0);
		EXPECT_TRUE(status(RNG_USER) & VIRTIO_CONFIG_S_NEEDS_RESET);

		reset_device(RNG_USER);
		EXPECT_EQ(0, status(RNG_USER));
		EXPECT_FALSE(machine_is_pending(RNG_USER, 0));
		fill_ring(RINGS);
		machine_drive(RNG_USER, rng_features(), 1, NUM, RINGS);
		ASSERT_TRUE(await_used(RINGS, NUM));
		EXPECT_FALSE(status(RNG_USER) & VIRTIO_CONFIG_S_NEEDS_RESET);
	}
}

TEST_F(driver, without_driver_ok_there_is_no_config_interrupt)
{
	struct virtio_dev *disk = virtio_dev_at(DISK);

	machine_common_write(DISK, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	pthread_mutex_lock(&disk->vm->lock);
	virtio_needs_reset(disk, "the test's wish");
	pthread_mutex_unlock(&disk->vm->lock);
	EXPECT_FALSE(machine_is_pending(DISK, 0));
	EXPECT_TRUE(status(DISK) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* Whatever the thread has served by then; by a reset of the queue first, every other time. */
TEST_F_TIMEOUT(driver, ten_thousand_resets_under_load_leave_nothing_behind, 300)
{
	int fds = proc_count("/proc/self/fd"), threads = proc_count("/proc/self/task");
	u32 i, k, cut = 0;
	u64 served = 0;

	for (i = 0; i < 10000; i++) {
		u64 before = served;

		fill_ring(RINGS);
		machine_drive(RNG_USER, rng_features(), 1, NUM, RINGS);
		/* At once, or in the middle of it. */
		for (k = 0; i % 3 && k < 100000 && nr_used(RINGS) < i % NUM; k++)
			;
		kick();
		if (i & 1)
			reset_queue(RNG_USER, 0);
		reset_device(RNG_USER);
		ASSERT_EQ(0, status(RNG_USER));
		served += nr_used(RINGS);
		cut += served - before < NUM;
		memset(ram(RINGS), 0xa5, 32 * NUM);
		memset(ram(BUFFERS), 0xa5, NUM * BUFFER_BYTES);
		for (k = 0; i % 100 == 0 && k < NUM * BUFFER_BYTES; k++) {
			ASSERT_EQ(0xa5, ram(BUFFERS)[k]);
		}
	}
	TH_LOG("%llu requests served, %u of 10000 rings cut short", (unsigned long long)served, cut);
	EXPECT_LT(10000, served);
	EXPECT_LT(100, cut);
	EXPECT_EQ(fds, proc_count("/proc/self/fd"));
	EXPECT_EQ(threads, proc_count("/proc/self/task"));
}

/* ---- The end of a boot --------------------------------------------------------------------------- */

static enum vm_state end_of(enum vm_state first, enum vm_state then)
{
	struct vm vm = { .state = VM_RUNNING, .wake_fd = vm_eventfd() };

	vm_end(&vm, first);
	vm_end(&vm, then);
	close(vm.wake_fd);
	return atomic_load(&vm.state);
}

/* The guest may reset while the main thread is about to take a signal, or `quit`, up. */
TEST(quit_that_meets_a_reset_is_no_reboot)
{
	EXPECT_EQ(VM_QUIT, end_of(VM_RESET, VM_QUIT));
	EXPECT_EQ(VM_QUIT, end_of(VM_REBOOT, VM_QUIT));
}

TEST(first_reason_to_end_counts_otherwise)
{
	EXPECT_EQ(VM_QUIT, end_of(VM_QUIT, VM_RESET));
	EXPECT_EQ(VM_POWERED_OFF, end_of(VM_POWERED_OFF, VM_RESET));
	EXPECT_EQ(VM_RESET, end_of(VM_RESET, VM_REBOOT));
	EXPECT_EQ(VM_FAILED, end_of(VM_FAILED, VM_QUIT));
}

TEST_HARNESS_MAIN
