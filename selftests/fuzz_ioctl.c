// SPDX-License-Identifier: GPL-2.0
/*
 * Sequences of ioctls, by eight threads at once, on devices that are at work.
 *
 * in:  /dev/vkick-null, -rng, -blk, -net, -console; options of lib/fuzz.h: -n is the number of ioctls, -r
 *      a program, as this prints them; KCOV, where the kernel has it, as a guide
 * out: TAP. Whatever the calls do, the kernel goes on, no call hangs, and nothing
 *      is left behind
 *
 * A program is one short sequence of calls for each thread, on a fresh stage. Its
 * name is a list of numbers: the first generates it, each other changes it in some
 * places. Programs that reach code which none before has reached are kept, and
 * changed further. So which ones are changed depends on the machine's timing; but
 * every single program is made again from its name alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/calls.h"
#include "lib/fuzz.h"
#include "lib/kcov.h"
#include "lib/vdev.h"

#define THREADS		8
#define STEPS		32	/* of one thread, at most */
#define CHANGES		12	/* of one program, at most */
#define KEPT		256	/* programs */
#define HANG_SECONDS	60

struct step {
	u32 kind;
	u64 number;
};

struct sequence {
	u32 nr;
	struct step step[STEPS];
};

struct name {
	u32 nr;
	u64 number[1 + CHANGES];
};

struct thread {
	pthread_t thread;
	sem_t go;
	struct sequence *sequence;	/* NULL: drives @live */
	struct live *live;
	struct kcov kcov;
	u64 made[64], succeeded[64];	/* by kind */
};

static struct {
	struct fuzz f;
	struct stage stage;
	struct sequence program[THREADS];
	struct thread team[THREADS + STAGE_LIVE];
	sem_t done;
	bool guided;
	struct kcov workers;
	struct name kept[KEPT];
	u32 nr_kept;
	u64 programs;
} all;

/* ---- programs ---- */

static struct step random_step(u64 *state)
{
	u32 kind = calls_pick(state);

	return (struct step) { kind, prng(state) };
}

static void generate(u64 number)
{
	u64 state = fuzz_seed(number, 0);
	u32 t, i;

	for (t = 0; t < THREADS; t++) {
		struct sequence *q = &all.program[t];

		q->nr = 4 + fuzz_below(&state, STEPS - 3);
		for (i = 0; i < q->nr; i++)
			q->step[i] = random_step(&state);
	}
}

static void change_once(u64 *state)
{
	struct sequence *q = &all.program[fuzz_below(state, THREADS)];
	u32 at = fuzz_below(state, q->nr), other = fuzz_below(state, q->nr);
	struct step was = q->step[at];

	switch (fuzz_below(state, 6)) {
	case 0:		/* the same call in another way */
		q->step[at].number = prng(state);
		break;
	case 1:
		q->step[at] = random_step(state);
		break;
	case 2:
		q->step[at] = q->step[other];
		q->step[other] = was;
		break;
	case 3:		/* one more */
		if (q->nr < STEPS)
			q->step[q->nr++] = was;
		q->step[at] = random_step(state);
		break;
	case 4:		/* two threads do the same */
		all.program[fuzz_below(state, THREADS)] = *q;
		break;
	default:
		while (at < q->nr)
			q->step[at++] = random_step(state);
	}
}

static void change(u64 number)
{
	u64 state = fuzz_seed(number, 1);
	u32 n = 1 + fuzz_below(&state, 4);

	while (n--)
		change_once(&state);
}

static void make_program(const struct name *name)
{
	u32 i;

	generate(name->number[0]);
	for (i = 1; i < name->nr; i++)
		change(name->number[i]);
}

/* Number @i of a run: a new one, or one that was kept, changed. */
static struct name next_name(u64 i)
{
	u64 state = fuzz_seed(all.f.seed, i);
	u64 number = prng(&state);
	struct name name = { 0 };

	if (all.nr_kept && !fuzz_one_in(&state, 4))
		name = all.kept[fuzz_below(&state, all.nr_kept)];
	if (name.nr > CHANGES)
		name.nr = 0;
	name.number[name.nr++] = number;
	return name;
}

static void keep(const struct name *name, u64 i)
{
	u64 state = fuzz_seed(~all.f.seed, i);

	if (all.nr_kept < KEPT)
		all.kept[all.nr_kept++] = *name;
	else
		all.kept[fuzz_below(&state, KEPT)] = *name;
}

static const char *print_name(const struct name *name)
{
	static char text[(1 + CHANGES) * 20];
	u32 i, n = 0;

	for (i = 0; i < name->nr; i++)
		n += sprintf(text + n, "%s0x%llx", i ? "," : "", (unsigned long long)name->number[i]);
	return text;
}

static struct name parse_name(const char *text)
{
	struct name name = { 0 };
	char *end;

	do {
		CHECK(name.nr <= CHANGES, "-r: too long");
		name.number[name.nr++] = strtoull(text, &end, 0);
		CHECK(end != text && (!*end || *end == ','), "-r %s", text);
		text = end + 1;
	} while (*end);
	return name;
}

/* ---- threads ---- */

static void play(struct thread *t)
{
	u32 i;

	for (i = 0; i < t->sequence->nr; i++) {
		struct step *s = &t->sequence->step[i];

		t->made[s->kind]++;
		t->succeeded[s->kind] += !calls_make(&all.stage, s->kind, s->number);
	}
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	if (t->sequence && all.guided)
		kcov_trace_self(&t->kcov);
	for (;;) {
		while (sem_wait(&t->go))
			;
		if (t->sequence)
			play(t);
		else
			stage_drive(&all.stage, t->live);
		sem_post(&all.done);
	}
	return NULL;
}

static void start_team(void)
{
	u32 i;

	sem_init(&all.done, 0, 0);
	for (i = 0; i < THREADS + STAGE_LIVE; i++) {
		struct thread *t = &all.team[i];

		if (i < THREADS)
			t->sequence = &all.program[i];
		else
			t->live = &all.stage.live[i - THREADS];
		sem_init(&t->go, 0, 0);
		CHECK(!pthread_create(&t->thread, NULL, thread_main, t), "pthread_create");
	}
}

/* Where each thread is: for the report of a hang. */
static void print_stacks(void)
{
	fflush(stdout);
	if (system("for t in /proc/$PPID/task/*; do echo \"# ${t##*/} $(cat $t/comm)\"; sed 's/^/#   /' $t/stack; done"))
		printf("# no stacks\n");
}

static void await(u32 n)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += HANG_SECONDS;
	while (n) {
		if (!sem_timedwait(&all.done, &end)) {
			n--;
			continue;
		}
		if (errno == EINTR)
			continue;
		print_stacks();
		CHECK(0, "a call does not return");
	}
}

/* Returns how many addresses were new. */
static u32 run(const struct name *name)
{
	u32 news = 0, i;

	fuzz_record(&all.f, "-r %s", print_name(name));
	make_program(name);
	stage_set(&all.stage, fuzz_seed(name->number[0], 2));
	for (i = 0; i < THREADS + STAGE_LIVE; i++)
		sem_post(&all.team[i].go);
	await(THREADS);
	atomic_store(&all.stage.quit, true);
	await(STAGE_LIVE);
	stage_strike(&all.stage);
	all.programs++;
	if (!all.guided)
		return 0;
	for (i = 0; i < THREADS; i++)
		news += kcov_take(&all.team[i].kcov);
	return news + kcov_take_workers(&all.workers);
}

/* ---- the run ---- */

static u64 sum(u32 kind, bool succeeded)
{
	u64 n = 0;
	u32 i;

	for (i = 0; i < THREADS; i++)
		n += succeeded ? all.team[i].succeeded[kind] : all.team[i].made[kind];
	return n;
}

static u64 ioctls_made(void)
{
	u64 n = 0;
	u32 k;

	for (k = 0; k < calls_nr(); k++)
		n += calls_is_ioctl(k) ? sum(k, false) : 0;
	return n;
}

static u64 requests_done(void)
{
	u64 n = 0;
	u32 i;

	for (i = 0; i < STAGE_LIVE; i++)
		n += all.stage.live[i].done;
	return n;
}

static void print_summary(void)
{
	u32 k;

	for (k = 0; k < calls_nr(); k++)
		printf("# %-28s %8llu made %8llu succeeded\n", calls_name(k),
		       (unsigned long long)sum(k, false), (unsigned long long)sum(k, true));
	printf("# %llu ioctls in %llu programs; %llu batches of requests came back\n",
	       (unsigned long long)ioctls_made(), (unsigned long long)all.programs,
	       (unsigned long long)requests_done());
	if (all.guided)
		printf("# %u places in the module's code, %u of them by workers; %u programs kept\n",
		       kcov_total(), kcov_total_workers(), all.nr_kept);
	else
		printf("# unguided: no KCOV here\n");
}

/* Each ioctl that the device knows must have succeeded: else it was not tested. */
static bool got_deep(void)
{
	bool ok = requests_done() > 0;
	u32 k;

	for (k = 0; k < calls_nr(); k++) {
		if (!calls_is_ioctl(k) || sum(k, true) || !strcmp(calls_name(k), "any ioctl"))
			continue;
		printf("# %s never succeeded\n", calls_name(k));
	}
	return ok && sum(0, true) && (!all.guided || kcov_total_workers());
}

static bool nothing_left(int threads, int fds)
{
	int threads_now = proc_threads_settle("vkick-", threads), fds_now = proc_count("/proc/self/fd");

	if (threads_now != threads || fds_now != fds)
		printf("# %d threads, before: %d; %d fds, before: %d\n", threads_now, threads,
		       fds_now, fds);
	return threads_now == threads && fds_now == fds;
}

static bool devices_work(void)
{
	struct name name = { 1, { 1 } };
	u64 before = requests_done();
	struct deadline end = deadline_in(DEADLINE_MS);
	u32 i;

	/* The stage alone, with its drivers. */
	stage_set(&all.stage, fuzz_seed(name.number[0], 2));
	for (i = THREADS; i < THREADS + STAGE_LIVE; i++)
		sem_post(&all.team[i].go);
	while (requests_done() < before + 100 && !deadline_passed(&end))
		usleep(1000);
	atomic_store(&all.stage.quit, true);
	await(STAGE_LIVE);
	stage_strike(&all.stage);
	return requests_done() >= before + 100;
}

int main(int argc, char **argv)
{
	int threads, fds;
	bool deep, works, clean;
	u64 i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..3\n");
	fuzz_init(&all.f, argc, argv, "IOCTLS");
	all.guided = kcov_available();
	stage_init(&all.stage);
	start_team();
	if (all.guided)
		kcov_trace_workers(&all.workers);
	run(&(struct name) { 1, { 1 } });	/* and each thread has opened what it needs */
	threads = proc_threads_named("vkick-");
	fds = proc_count("/proc/self/fd");

	fuzz_start(&all.f);
	for (i = 0; fuzz_goes_on(&all.f, ioctls_made()); i++) {
		/* So that who ends a long run knows how far it was. */
		if (i && i % 1000 == 0)
			printf("# %llu ioctls so far\n", (unsigned long long)ioctls_made());
		struct name name = all.f.replay ? parse_name(all.f.replay) : next_name(i);

		if (run(&name))
			keep(&name, i);
	}
	print_summary();
	deep = got_deep();
	works = devices_work();
	clean = nothing_left(threads, fds);
	printf("%sok 1 fuzz_ioctl.calls_get_deep\n", deep ? "" : "not ");
	printf("%sok 2 fuzz_ioctl.devices_work_afterwards\n", works ? "" : "not ");
	printf("%sok 3 fuzz_ioctl.nothing_is_left\n", clean ? "" : "not ");
	return !(deep && works && clean);
}
