/*
 * connects races TCP connects as cheaply as the kernel allows: one thread, one epoll
 * instance, edge-triggered, and sockets that are dissolved with connect(AF_UNSPEC) and
 * used again. It is the limit that connrace's engine is compared with.
 *
 *   connects GOAL IN_FLIGHT WARM_MS MEASURE_MS FACTS ADDRESS:PORT...
 *
 * IN_FLIGHT races run side by side, each to all the endpoints at once. With the GOAL
 * "first" the first handshake that is done wins, and all others are dissolved; one
 * endpoint makes it a plain connect. With "all" it is a probe, which goes on until
 * every attempt is over. With FACTS 1 it asks the kernel what the engine asks:
 * SO_ERROR, TCP_INFO and the local address of each connection, TCP_INFO of each loser.
 *
 * It runs for WARM_MS and then measures for MEASURE_MS, both until a race is over,
 * and prints one line of JSON. Without WARM_MS it measures from the first connect on.
 *
 * With the GOAL "pending" it starts all attempts, which nobody is to answer, and
 * prints how much memory of its own they took.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32 };

static struct sockaddr_in *endpoints;
static int width; /* endpoints of a race */

/* Socket i belongs to race i / width and to endpoint i % width. */
static int *sockets;
static char *pending; /* by socket: its attempt is not over */

static struct race {
	int pending; /* attempts that are not over */
	int over;
} *races;
static int in_flight;

static int poller, facts, to_all;

static struct counts {
	long races, attempts, failures;
} counts;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void ask_info(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof info;
	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
}

static void ask_all(int fd)
{
	int error;
	struct sockaddr_in local;
	socklen_t size = sizeof error, room = sizeof local;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	ask_info(fd);
	getsockname(fd, (struct sockaddr *)&local, &room);
}

static void dissolve(int i)
{
	static const struct sockaddr_in nobody = {.sin_family = AF_UNSPEC};
	if (connect(sockets[i], (const struct sockaddr *)&nobody, sizeof nobody) != 0)
		fail("dissolve");
	pending[i] = 0;
}

static void start(int race)
{
	int first = race * width;
	races[race] = (struct race){.pending = width};
	for (int i = first; i < first + width; i++) {
		pending[i] = 1;
		counts.attempts++;
		if (connect(sockets[i], (struct sockaddr *)&endpoints[i - first], sizeof *endpoints) != 0 && errno != EINPROGRESS)
			fail("connect");
	}
}

static void finish(int race)
{
	int first = race * width;
	for (int i = first; i < first + width; i++) {
		if (!pending[i])
			continue;
		if (facts)
			ask_info(sockets[i]);
		dissolve(i);
	}
	counts.races++;
}

/* happened takes an event in. One of a socket without an attempt is the echo of an
 * earlier one: dissolving leaves an error behind. */
static void happened(int i, unsigned events)
{
	struct race *r = &races[i / width];
	if (!pending[i] || r->over)
		return;
	if (events & (EPOLLERR | EPOLLHUP)) {
		counts.failures++;
		dissolve(i);
		r->over = --r->pending == 0;
		return;
	}
	if (facts)
		ask_all(sockets[i]);
	dissolve(i);
	r->pending--;
	r->over = !to_all || r->pending == 0;
}

/* run_until runs to the end of the first race that is over then. */
static void run_until(double end)
{
	const double patience = 30e6;
	struct epoll_event events[BATCH];
	long over = -1; /* races that were over at the end */
	for (;;) {
		double now = now_us();
		if (over < 0 && now >= end)
			over = counts.races;
		if (over >= 0 && (counts.races > over || now >= end + patience))
			return;
		int n = epoll_wait(poller, events, BATCH, 1000);
		if (n < 0 && errno != EINTR)
			fail("epoll_wait");
		for (int k = 0; k < n; k++)
			happened(events[k].data.u32, events[k].events);
		for (int k = 0; k < n; k++) {
			int race = events[k].data.u32 / width;
			if (!races[race].over)
				continue;
			finish(race);
			start(race);
		}
	}
}

/* raise_limit lets it have as many sockets as the system allows. */
static void raise_limit(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

/* memory is what this process has of its own, in bytes. */
static long memory(void)
{
	long size = 0, resident = 0, shared = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%ld %ld %ld", &size, &resident, &shared) != 3)
		fail("/proc/self/statm");
	fclose(f);
	return (resident - shared) * sysconf(_SC_PAGESIZE);
}

static void open_sockets(void)
{
	int n = in_flight * width;
	sockets = calloc(n, sizeof *sockets);
	pending = calloc(n, sizeof *pending);
	races = calloc(in_flight, sizeof *races);
	poller = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < n; i++) {
		struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.u32 = i};
		sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
		if (sockets[i] < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, sockets[i], &event) != 0)
			fail("socket");
	}
}

static void read_endpoints(char **args, int n)
{
	width = n;
	endpoints = calloc(n, sizeof *endpoints);
	for (int i = 0; i < n; i++) {
		char *port = strrchr(args[i], ':');
		endpoints[i].sin_family = AF_INET;
		if (!port || (*port = 0, inet_pton(AF_INET, args[i], &endpoints[i].sin_addr) != 1)) {
			fprintf(stderr, "connects: %s is no IPv4 address with a port\n", args[i]);
			exit(2);
		}
		endpoints[i].sin_port = htons(atoi(port + 1));
	}
}

static double micros(struct timeval t) { return t.tv_sec * 1e6 + t.tv_usec; }

static long switches(const struct rusage *u) { return u->ru_nvcsw + u->ru_nivcsw; }

static void start_all(void)
{
	for (int race = 0; race < in_flight; race++)
		start(race);
}

static void run_pending(void)
{
	long before = memory();
	open_sockets();
	start_all();
	printf("{\"pending\":%ld,\"residentBytes\":%ld}\n", counts.attempts, memory() - before);
}

static void run_measured(double warm_us, double measure_us)
{
	struct rusage before, after;
	open_sockets();
	if (warm_us > 0) {
		start_all();
		run_until(now_us() + warm_us);
		counts = (struct counts){0};
	}
	getrusage(RUSAGE_SELF, &before);
	double began = now_us();
	if (warm_us <= 0)
		start_all();
	run_until(began + measure_us);
	double wall = now_us() - began;
	getrusage(RUSAGE_SELF, &after);
	printf("{\"userUs\":%.0f,\"systemUs\":%.0f,\"wallUs\":%.0f,\"races\":%ld,\"attempts\":%ld,\"failures\":%ld,\"switches\":%ld}\n",
	       micros(after.ru_utime) - micros(before.ru_utime), micros(after.ru_stime) - micros(before.ru_stime),
	       wall, counts.races, counts.attempts, counts.failures, switches(&after) - switches(&before));
}

int main(int argc, char **argv)
{
	if (argc < 7) {
		fprintf(stderr, "usage: connects first|all|pending IN_FLIGHT WARM_MS MEASURE_MS FACTS ADDRESS:PORT...\n");
		return 2;
	}
	to_all = strcmp(argv[1], "all") == 0;
	in_flight = atoi(argv[2]);
	facts = atoi(argv[5]);
	raise_limit();
	read_endpoints(argv + 6, argc - 6);
	if (strcmp(argv[1], "pending") == 0)
		run_pending();
	else
		run_measured(atoi(argv[3]) * 1e3, atoi(argv[4]) * 1e3);
	return 0;
}
