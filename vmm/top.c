// SPDX-License-Identifier: GPL-2.0
/*
 * `vkick top`: what running VMs do, once a second, in a terminal.
 *
 * in:  their control sockets' "stats", a key: q
 * out: a screen that is drawn over itself, or, where stdout is no terminal, one block after another
 *
 * Rates are differences of two replies over the VM's own time between them, so that a late reply is not a slow VM.
 */
#include <errno.h>
#include <jansson.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "latency.h"
#include "ctl.h"
#include "opts.h"

#define MAX_VMS		32
#define MAX_QUEUES	512		/* of one VM */
#define HISTORY		12		/* samples in a graph: a line has 79 characters */
#define REPLY_SECONDS	2
#define LINE_BYTES	512

struct queue_history {
	double rate[HISTORY];		/* requests/s, the newest last */
};

struct top_vm {
	const char *path;
	int fd;				/* -1: it is gone */
	json_t *before, *now;		/* replies, or NULL */
	struct queue_history *queues;
};

static struct {
	struct top_vm vm[MAX_VMS];
	unsigned int nr;
	int interval_ms;
	long frames;			/* to go; -1: for ever */
	bool tty, utf8;
	unsigned int rows, columns;	/* of the terminal */
	unsigned int row;		/* that comes next */
	struct termios saved;
} top;

/* ---- The terminal ---------------------------------------------------------------------- */

static void restore_terminal(void)
{
	static const char leave[] = "\033[?25h\033[?1049l";

	if (write(STDOUT_FILENO, leave, sizeof(leave) - 1) > 0)
		tcsetattr(STDIN_FILENO, TCSANOW, &top.saved);
}

static void end_by_signal(int sig)
{
	restore_terminal();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void window_changed(int sig)
{
	(void)sig;	/* poll() returns, and the next frame asks for the size */
}

static void take_terminal(void)
{
	struct sigaction winch = { .sa_handler = window_changed };
	struct termios raw;

	setlocale(LC_CTYPE, "");
	top.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	top.tty = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) && !tcgetattr(STDIN_FILENO, &top.saved);
	if (!top.tty)
		return;
	raw = top.saved;
	raw.c_lflag &= ~(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	atexit(restore_terminal);
	signal(SIGINT, end_by_signal);
	signal(SIGTERM, end_by_signal);
	signal(SIGHUP, end_by_signal);
	sigaction(SIGWINCH, &winch, NULL);
	fputs("\033[?1049h\033[?25l", stdout);
}

static void begin_frame(void)
{
	struct winsize size;

	top.rows = top.columns = ~0U;
	top.row = 0;
	if (!top.tty)
		return;
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col) {
		top.rows = size.ws_row;
		top.columns = size.ws_col;
	}
	fputs("\033[H", stdout);
}

/* A line, cut to the terminal's width; lines past its height are not drawn. */
static void line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void line(const char *fmt, ...)
{
	char text[LINE_BYTES], *s = text;
	unsigned int columns = 0;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (top.row + 1 >= top.rows && top.tty)
		return;
	top.row++;
	/* A character begins with any byte but 10xxxxxx. What a VM says is not to drive the terminal. */
	for (; *s; s++) {
		if ((*s & 0xc0) != 0x80 && ++columns > top.columns)
			break;
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
	}
	*s = 0;
	fputs(text, stdout);
	fputs(top.tty ? "\033[K\r\n" : "\n", stdout);
}

static void end_frame(void)
{
	if (top.tty)
		fputs("\033[J", stdout);
	else
		putchar('\n');
	fflush(stdout);
}

/* ---- The VMs ------------------------------------------------------------------------------ */

static void lose(struct top_vm *vm)
{
	close(vm->fd);
	vm->fd = -1;
}

static void ask(struct top_vm *vm)
{
	static const char request[] = "{\"cmd\":\"stats\"}\n";
	json_error_t err;
	json_t *reply;

	if (vm->fd < 0)
		return;
	if (send(vm->fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0) {
		lose(vm);
		return;
	}
	reply = json_loadfd(vm->fd, JSON_DISABLE_EOF_CHECK, &err);
	if (!json_is_true(json_object_get(reply, "ok"))) {
		json_decref(reply);
		lose(vm);
		return;
	}
	json_decref(vm->before);
	vm->before = vm->now;
	vm->now = reply;
}

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* The nth of the array called @key; NULL where there is none. */
static json_t *nth(const json_t *object, const char *key, size_t n)
{
	return json_array_get(json_object_get(object, key), n);
}

static double seconds_between(const struct top_vm *vm)
{
	return vm->before ? (number(vm->now, "uptime_ns") - number(vm->before, "uptime_ns")) / 1e9 : 0;
}

static double rate(const struct top_vm *vm, const json_t *now, const json_t *before, const char *key)
{
	double s = seconds_between(vm);

	return s > 0 && before ? (number(now, key) - number(before, key)) / s : 0;
}

/* ---- What is drawn ---------------------------------------------------------------------------- */

/* 4 digits at most: 9999, 12.3k, 4.56M. */
static const char *short_number(double n, char *buf, size_t bytes)
{
	static const char units[] = "kMGT";
	unsigned int u = 0;

	if (n < 9999.5) {
		snprintf(buf, bytes, "%.0f", n);
		return buf;
	}
	for (n /= 1000; n >= 999.5 && u < sizeof(units) - 2; n /= 1000)
		u++;
	snprintf(buf, bytes, "%.*f%c", n < 9.995 ? 2 : n < 99.95 ? 1 : 0, n, units[u]);
	return buf;
}

#define SHORT(n)	short_number(n, (char [16]) { 0 }, 16)

/* Two digits, for a bucket is no finer; 6 characters at most: 850ns, 4.6us, 12ms, 120ms, 1.2s. "-" if there is none. */
static const char *short_time(u64 ns, char *buf, size_t bytes)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	unsigned int u = 0;
	double t = ns;

	for (; t >= 995 && u < ARRAY_SIZE(units) - 1; t /= 1000)
		u++;
	if (t >= 99.5)
		t = 10 * (double)(u64)(t / 10 + 0.5);
	if (!ns)
		snprintf(buf, bytes, "-");
	else
		snprintf(buf, bytes, "%.*f%s", u && t < 9.95 ? 1 : 0, t, units[u]);
	return buf;
}

#define TIME(ns)	short_time(ns, (char [16]) { 0 }, 16)

/* Adds, or takes away, what a reply has of a queue's histogram. What a VM says may be anything. */
static void count_latency(u64 *count, const json_t *queue, bool take_away)
{
	const json_t *pair;
	size_t i;

	for (i = 0; (pair = nth(queue, "latency_ns", i)); i++) {
		json_int_t from = json_integer_value(json_array_get(pair, 0)), n = json_integer_value(json_array_get(pair, 1));
		u64 *bucket = &count[vkick_latency_bucket(from)];

		if (from < 0 || n < 0)
			continue;
		if (!take_away)
			*bucket += n;
		else
			*bucket -= (u64)n < *bucket ? (u64)n : *bucket;
	}
}

/* Of the requests between two replies; without an earlier one, of none. */
static void latency_between(u64 *count, const json_t *now, const json_t *before)
{
	memset(count, 0, VKICK_LATENCY_BUCKETS * sizeof(*count));
	if (!before)
		return;
	count_latency(count, now, false);
	count_latency(count, before, true);
}

static const char *graph(const struct queue_history *h, char *buf, size_t bytes)
{
	static const char *const blocks[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	static const char *const plain[] = { " ", ".", ".", ":", ":", "-", "=", "+", "#" };
	double most = 1;
	unsigned int i;
	size_t at = 0;

	for (i = 0; i < HISTORY; i++)
		most = h->rate[i] > most ? h->rate[i] : most;
	for (i = 0; i < HISTORY && at + 4 < bytes; i++) {
		/* Anything at all shows. */
		unsigned int level = h->rate[i] > 0 ? 1 + h->rate[i] / most * 7 : 0;
		const char *s = (top.utf8 ? blocks : plain)[level];

		at += snprintf(buf + at, bytes - at, "%s", s);
	}
	return buf;
}

static void draw_queue(struct top_vm *vm, const json_t *dev, const json_t *before, size_t q, struct queue_history *h)
{
	const json_t *now = nth(dev, "queues", q), *past = nth(before, "queues", q);
	double requests = rate(vm, now, past, "requests"), calls = rate(vm, now, past, "calls");
	double suppressed = rate(vm, now, past, "calls_suppressed");
	u64 latency[VKICK_LATENCY_BUCKETS];
	char bars[HISTORY * 4 + 1] = "";

	memmove(h->rate, h->rate + 1, sizeof(h->rate) - sizeof(h->rate[0]));
	h->rate[HISTORY - 1] = requests;
	latency_between(latency, now, past);
	line("  %-8s %-6s %2zu %6s %7s %7s %6.0f%% %6s %6s  %s", q ? "" : json_string_value(json_object_get(dev, "name")),
	     q ? "" : json_string_value(json_object_get(dev, "datapath")), q, SHORT(requests),
	     SHORT(rate(vm, now, past, "kicks")), SHORT(calls),
	     calls + suppressed > 0 ? 100 * suppressed / (calls + suppressed) : 0,
	     TIME(latency_percentile(latency, 50)), TIME(latency_percentile(latency, 99)), graph(h, bars, sizeof(bars)));
}

static void draw_head(struct top_vm *vm)
{
	double exits = 0, up = number(vm->now, "uptime_ns") / 1e9;
	const json_t *cpu;
	size_t i;

	for (i = 0; (cpu = nth(vm->now, "vcpus", i)); i++)
		exits += rate(vm, json_object_get(cpu, "exits"), json_object_get(nth(vm->before, "vcpus", i), "exits"), "total");
	line("%s: %s%s, up %.0f:%02.0f:%02.0f, %zu vCPU%s, %s exits/s, %sB RSS, and %sB of the guest's", vm->path,
	     json_string_value(json_object_get(vm->now, "state")), vm->fd < 0 ? " when it last answered" : "", (double)(long)(up / 3600),
	     (double)((long)(up / 60) % 60), (double)((long)up % 60), i, i == 1 ? "" : "s", SHORT(exits),
	     SHORT(number(vm->now, "rss_bytes")), SHORT(number(vm->now, "guest_rss_bytes")));
}

static void draw_vm(struct top_vm *vm)
{
	unsigned int nr = 0;
	const json_t *dev;
	size_t d, q;

	if (!vm->now) {
		line("%s: no answer", vm->path);
		return;
	}
	draw_head(vm);
	line("  %-8s %-6s %2s %6s %7s %7s %7s %6s %6s  %s", "device", "served", "q", "req/s", "kicks/s", "calls/s", "unsent", "p50", "p99",
	     "requests");
	for (d = 0; (dev = nth(vm->now, "devices", d)); d++)
		for (q = 0; nth(dev, "queues", q) && nr < MAX_QUEUES; q++)
			draw_queue(vm, dev, nth(vm->before, "devices", d), q, &vm->queues[nr++]);
}

static void draw(void)
{
	unsigned int i;

	begin_frame();
	for (i = 0; i < top.nr; i++)
		draw_vm(&top.vm[i]);
	if (top.tty)
		line("every %.1f s; unsent: calls not wanted; p50, p99: from pop to used; q quits", top.interval_ms / 1000.0);
	end_frame();
}

static bool all_gone(void)
{
	unsigned int i;

	for (i = 0; i < top.nr; i++)
		if (top.vm[i].fd >= 0)
			return false;
	return true;
}

/* Until the next frame is due. Return: false if the user has seen enough. */
static bool wait_for_next(u64 due_ns)
{
	struct pollfd key = { .fd = top.tty ? STDIN_FILENO : -1, .events = POLLIN };
	u64 now = monotonic_ns();
	char c;

	while (now < due_ns) {
		int n = poll(&key, 1, (due_ns - now + 999999) / 1000000);

		if (n < 0)
			return errno == EINTR;	/* another size: draw at once */
		if (n > 0 && (read(STDIN_FILENO, &c, 1) != 1 || c == 'q'))
			return false;
		now = monotonic_ns();
	}
	return true;
}

/* ---- The command ---------------------------------------------------------------------------- */

static void add_vm(const char *path)
{
	struct timeval timeout = { .tv_sec = REPLY_SECONDS };
	struct top_vm *vm = &top.vm[top.nr];

	if (top.nr++ == MAX_VMS)
		die_usage("top: at most %u sockets", MAX_VMS);
	*vm = (struct top_vm) { .path = path, .fd = ctl_connect(path), .queues = calloc(MAX_QUEUES, sizeof(*vm->queues)) };
	if (!vm->queues)
		die("top: out of memory");
	setsockopt(vm->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

static int interval(const char *v)
{
	char *end;
	double s = v ? strtod(v, &end) : 0;

	if (!v || end == v || *end || !(s >= 0.1 && s <= 1e6))
		die_usage("top -d %s: give a number of seconds from 0.1 on", v ? v : "");
	return s * 1000;
}

static long frames(const char *v)
{
	char *end;
	u64 n = v ? opts_number(v, &end) : 0;

	if (!v || end == v || *end || errno || !n || n > INT32_MAX)
		die_usage("top -n %s: give a whole number from 1 on", v ? v : "");
	return n;
}

int top_run(int argc, char **argv)
{
	int i;

	top.interval_ms = 1000;
	top.frames = -1;
	for (i = 0; i < argc; i++) {
		/* argv ends with NULL, so there is always a next one. */
		if (!strcmp(argv[i], "-d")) {
			top.interval_ms = interval(argv[++i]);
		} else if (!strcmp(argv[i], "-n")) {
			top.frames = frames(argv[++i]);
		} else if (argv[i][0] == '-') {
			die_usage("top %s: unknown option: there are -d SECONDS and -n FRAMES", argv[i]);
		} else {
			add_vm(argv[i]);
		}
	}
	if (!top.nr)
		die_usage("top: give the --ctl socket of a running VM, or several");
	take_terminal();
	for (;;) {
		u64 due_ns = monotonic_ns() + top.interval_ms * 1000000UL;
		unsigned int k;

		for (k = 0; k < top.nr; k++)
			ask(&top.vm[k]);
		draw();
		if (all_gone() || (top.frames > 0 && !--top.frames) || !wait_for_next(due_ns))
			return 0;
	}
}
