// SPDX-License-Identifier: GPL-2.0
/*
 * Makes the filters, when vkick is built: libseccomp takes longer for that than a VMM's start should, and a VMM
 * that has them needs no libseccomp.
 *
 * in:  calls.c
 * out: C on stdout: an array of BPF for each kind of thread, and a table of them
 */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox.h"

#define MAX_CALLS	256

struct list {
	enum thread_kind kind;
	unsigned int nr;
	struct sandbox_call call[MAX_CALLS];
};

static void fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "sandbox/calls.c: ");
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

/* Whether whatever @call lets through @other does as well. */
static bool implied(const struct sandbox_call *call, const struct sandbox_call *other)
{
	if (call->nr != other->nr)
		return false;
	if (call->error != other->error)
		fail("call %d: allowed, and refused", call->nr);
	if (!other->checked)
		return true;
	return call->checked && call->arg == other->arg && !(other->mask & ~call->mask) &&
	       (call->value & other->mask) == other->value;
}

static void collect(const struct sandbox_call *call, void *arg)
{
	struct list *l = arg;
	unsigned int i, kept = 0;

	for (i = 0; i < l->nr; i++)
		if (implied(call, &l->call[i]))
			return;
	for (i = 0; i < l->nr; i++)
		if (!implied(&l->call[i], call))
			l->call[kept++] = l->call[i];
	if (kept == MAX_CALLS)
		fail("%s: more than %d", sandbox_kinds[l->kind].name, MAX_CALLS);
	l->call[kept++] = *call;
	l->nr = kept;
}

static unsigned int count_calls(const struct list *l)
{
	unsigned int i, k, nr = 0;

	for (i = 0; i < l->nr; i++) {
		for (k = 0; k < i && l->call[k].nr != l->call[i].nr; k++)
			;
		nr += k == i;
	}
	return nr;
}

static void add(scmp_filter_ctx ctx, const struct sandbox_call *c)
{
	u32 action = c->error ? SCMP_ACT_ERRNO(c->error) : SCMP_ACT_ALLOW;
	struct scmp_arg_cmp cmp = {
		.arg = c->arg,
		.op = c->mask == ~0UL ? SCMP_CMP_EQ : SCMP_CMP_MASKED_EQ,
		.datum_a = c->mask == ~0UL ? c->value : c->mask,
		.datum_b = c->value,
	};
	int err = seccomp_rule_add_array(ctx, action, c->nr, c->checked, &cmp);

	if (err)
		fail("call %d: %s", c->nr, strerror(-err));
}

static unsigned int print_filter(const char *name, scmp_filter_ctx ctx)
{
	int fd = memfd_create("bpf", 0), err = seccomp_export_bpf(ctx, fd);
	struct sock_filter op;
	unsigned int nr = 0;

	if (fd < 0 || err || lseek(fd, 0, SEEK_SET))
		fail("%s: no BPF: %s", name, strerror(-err));
	printf("static struct sock_filter filter_%s[] = {\n", name);
	for (; read(fd, &op, sizeof(op)) == sizeof(op); nr++)
		printf("\t{ 0x%02x, %u, %u, 0x%08x },\n", op.code, op.jt, op.jf, op.k);
	printf("};\n\n");
	close(fd);
	return nr;
}

static void make(enum thread_kind kind)
{
	const char *name = sandbox_kinds[kind].name;
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	struct list l = { .kind = kind };
	unsigned int i, calls, ops;

	sandbox_each_call(kind, collect, &l);
	calls = count_calls(&l);
	if (kind == THREAD_VCPU && calls > SANDBOX_MAX_VCPU_CALLS)
		fail("%s: %u calls: at most %d", name, calls, SANDBOX_MAX_VCPU_CALLS);
	/* Another architecture's calls have other numbers. */
	if (!ctx || seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) ||
	    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2))
		fail("libseccomp of 2.5 or later is needed");
	for (i = 0; i < l.nr; i++)
		add(ctx, &l.call[i]);
	ops = print_filter(name, ctx);
	printf("/* %s: %u calls, %u instructions */\n\n", name, calls, ops);
	seccomp_release(ctx);
}

int main(void)
{
	unsigned int i;

	printf("/* Made by sandbox/generate.c of sandbox/calls.c. */\n");
	for (i = 0; i < NR_THREAD_KINDS; i++)
		make(i);
	printf("static const struct sock_fprog filters[NR_THREAD_KINDS] = {\n");
	for (i = 0; i < NR_THREAD_KINDS; i++)
		printf("\t[%u] = { ARRAY_SIZE(filter_%s), filter_%s },\n", i, sandbox_kinds[i].name, sandbox_kinds[i].name);
	printf("};\n");
	return fflush(stdout) || ferror(stdout);
}
