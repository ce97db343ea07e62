/*
 * Metrics: against what the kernel counted, read by those who read them (promtool),
 * and however many ask, hang, or go away.
 */
#include "http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <time.h>

#define CLIENTS 200

/* ---- TCP ---- */

/* ---- values ---- */

static bool find_value(const char *text, const char *series, double *value)
{
	size_t len = strlen(series);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, series, len) && line[len] == ' ') {
			*value = strtod(line + len, NULL);
			return true;
		}
	}
	return false;
}

/* Of a scrape of now; -1: absent. */
static double value_now(const struct lt *lt, const char *series)
{
	struct answer answer = http_ask(lt, "/metrics");
	double value = -1;

	lt_require(http_status(&answer) == 200, "\"%.200s\"", answer.text);
	find_value(http_body(&answer), series, &value);
	free(answer.text);
	return value;
}

static double births_now(const struct lt *lt)
{
	struct answer answer = http_ask(lt, "/metrics");
	double forks = 0, threads = 0;

	lt_require(find_value(http_body(&answer), "lifetrace_forks_total", &forks) &&
			   find_value(http_body(&answer), "lifetrace_threads_total", &threads),
		   "\"%.200s\"", answer.text);
	free(answer.text);
	return forks + threads;
}

LT_TEST(metrics, births_are_the_kernels)
{
	struct lt *lt = lt__start(NULL);
	int64_t before, after;
	double first, last;

	/* others on the host bear, too: what is between two looks of either is between */
	before = proc__births();
	first = births_now(lt);
	for (int i = 0; i < 500; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		cr_assert(pid > 0 && waitpid(pid, NULL, 0) == pid);
	}
	last = births_now(lt);
	after = proc__births();
	lt_require(last - first >= 500, "%g births", last - first);
	lt_require(last - first <= (double)(after - before), "%g births of %ld", last - first,
		   (long)(after - before));
	lt__stop(lt);
}

LT_TEST(metrics, zombies_by_parent)
{
	struct lt *lt = lt__start("--zombie-age", "100ms", "--leak-count", "3", NULL);
	struct cast *leak = cast__start("leak", "7", "0", "leaky \"one\"", NULL);
	char series[256];
	double oldest;

	for (int i = 0; i < 7; i++)
		cast__int(leak, "child", i);
	lt_await(value_now(lt, "lifetrace_zombies_flagged") >= 7, "not flagged");
	struct answer answer = http_ask(lt, "/metrics");
	const char *line = strstr(answer.text, "parent_comm=\"leaky \\\"one\\\"\"");
	lt_require(line, "no series of it: \"%s\"", answer.text);
	snprintf(series, sizeof(series), "%.*s", (int)strcspn(line, "\n"), line);
	lt_require(!strcmp(series + strcspn(series, "}"), "} 7"), "%s", series);
	lt_require(find_value(http_body(&answer), "lifetrace_zombie_oldest_age_seconds", &oldest) &&
			   oldest >= 0.1,
		   "%g s", oldest);
	free(answer.text);
	lt_require(value_now(lt, "lifetrace_leaks") >= 1, "no leak");
	cast__tell(leak, "reap");
	cast__str(leak, "obeyed", 0);
	answer = http_ask(lt, "/metrics");
	while (strstr(answer.text, "leaky")) { /* until the last record of the reaps is there */
		free(answer.text);
		pass_time(20 * NSEC_PER_MSEC);
		answer = http_ask(lt, "/metrics");
	}
	free(answer.text);
	cast__tell(leak, "end");
	cast__end(leak);
	cast__free(leak);
	lt__stop(lt);
}

LT_TEST(metrics, of_the_daemon_itself)
{
	struct lt *lt = lt__start(NULL);
	pid_t pid = lt__daemon_pid(lt);
	double cpu, fds, start, rss, boot;
	struct timespec real;
	struct proc proc;

	cpu = value_now(lt, "process_cpu_seconds_total");
	lt_require(cpu > 0 && cpu * 1000 <= (double)cpu_ms_of(pid) + 20, "%g s, /proc: %ld ms", cpu,
		   cpu_ms_of(pid));
	fds = value_now(lt, "process_open_fds"); /* one is the scrape's own */
	lt_require(fds >= fds_of(pid) && fds <= fds_of(pid) + 1, "%g, /proc: %d", fds, fds_of(pid));
	rss = value_now(lt, "process_resident_memory_bytes");
	lt_require(rss > 1e6 && rss / 1024 < 1.2 * (double)status_of(pid, "VmRSS"), "%g bytes",
		   rss);
	cr_assert(proc__read(pid, &proc));
	clock_gettime(CLOCK_REALTIME, &real);
	boot = (double)real.tv_sec - (double)boottime_ns() / NSEC_PER_SEC;
	start = value_now(lt, "process_start_time_seconds");
	lt_require(start - boot - (double)proc.start_ticks / (double)sysconf(_SC_CLK_TCK) < 2 &&
			   start - boot - (double)proc.start_ticks / (double)sysconf(_SC_CLK_TCK) >
				   -2,
		   "start %g, boot %g", start, boot);
	lt_require(value_now(lt, "process_start_time_seconds") == start, "it moved");
	lt_require(value_now(lt, "lifetrace_ring_bytes") == 16 << 20, "not the preset");
	lt_require(value_now(lt, "lifetrace_ring_highest_bytes") > 0, "never anything in the ring");
	lt_require(value_now(lt, "lifetrace_event_delay_seconds_count") >=
			   value_now(lt, "lifetrace_forks_total"),
		   "less than the forks");
	lt__stop(lt);
}

/* ---- those who read it ---- */

static void require_clean(const struct lt *lt)
{
	struct answer answer = http_ask(lt, "/metrics");
	int in[2], raw;
	pid_t pid;

	lt_require(http_status(&answer) == 200, "\"%.200s\"", answer.text);
	cr_assert(!pipe2(in, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		dup2(in[0], 0);
		execlp("promtool", "promtool", "check", "metrics", (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	cr_assert(write(in[1], http_body(&answer), strlen(http_body(&answer))) > 0);
	close(in[1]);
	cr_assert(waitpid(pid, &raw, 0) == pid);
	lt_require(WIFEXITED(raw) && !WEXITSTATUS(raw), "promtool is not content: %d", raw);
	free(answer.text);
}

LT_TEST(metrics, promtool_is_content)
{
	struct lt *lt;
	struct cast *leak;

	if (!have_program("promtool"))
		cr_skip("promtool is not installed");
	lt = lt__start("--zombie-age", "10ms", NULL);
	leak = cast__start("leak", "3", "0", "a\"b\\c\xff", NULL);
	cast__int(leak, "child", 2);
	require_clean(lt);
	cast__tell(leak, "end");
	cast__end(leak);
	cast__free(leak);
	lt__stop(lt);
}

LT_TEST(metrics, by_tcp_nothing_else)
{
	static const char *const closed[] = { "/v1/status", "/v1/zombies", "/v1/processes",
					      "/v1/events", "/v1/record",  "/v1/cow",
					      "/",	    "/metrics/",   "/%2e%2e/v1/status" };
	const char *port = free_port();
	struct lt *lt = lt__start("--metrics-listen", port, NULL);
	struct answer answer = tcp_ask(port, "/metrics");

	lt_require(http_status(&answer) == 200 && strstr(answer.text, "\nlifetrace_forks_total "),
		   "\"%.200s\"", answer.text);
	free(answer.text);
	answer = tcp_ask(port, "/healthz");
	lt_require(http_status(&answer) == 200, "\"%.200s\"", answer.text);
	free(answer.text);
	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
		answer = tcp_ask(port, closed[i]);
		lt_require(http_status(&answer) == 404, "%s: \"%.200s\"", closed[i], answer.text);
		free(answer.text);
	}
	lt__stop(lt);
}

/* Whether 127.0.0.2, another address of the loopback, answers on the port, too. */
LT_TEST(metrics, a_port_alone_is_of_one_address)
{
	const char *port = free_port();
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(atoi(port)),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1) };
	struct lt *lt = lt__start("--metrics-listen", port, NULL);
	int fd = tcp_socket();

	lt_require(connect(fd, (struct sockaddr *)&address, sizeof(address)) &&
			   errno == ECONNREFUSED,
		   "another address answers");
	close(fd);
	lt__stop(lt);
}

Test(metrics, bad_addresses, .timeout = LT_TIMEOUT_S)
{
	static const char *const bad[] = { "x",	       "127.0.0.1:x",  ":80",	   "localhost:80",
					   "1:2:3",    "[::1]80",      "[::1:80",  "127.0.0.1:",
					   "65536000", "127.0.0.1:-1", "1.2.3:80:" };
	char path[] = "/tmp/lifetrace-XXXXXX", socket[64];

	if (geteuid())
		cr_skip("not root");
	cr_assert(mkdtemp(path));
	snprintf(socket, sizeof(socket), "%s/sock", path);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		require_complaint(ARGV(LIFETRACED, "--socket", socket, "--metrics-listen", bad[i]),
				  1, bad[i]);
	require_complaint(ARGV(LIFETRACED, "--socket", socket, "--metrics-listen", "192.0.2.1:80"),
			  1, "192.0.2.1:80"); /* no address of this host */
	rmdir(path);
}

/* ---- crowds ---- */

static void require_all_served(int *fds)
{
	for (int i = 0; i < CLIENTS; i++) {
		struct answer answer = http_read(fds[i], LT_DEADLINE_NS);

		lt_require(http_status(&answer) == 200 && answer.ended, "scrape %d: \"%.100s\"", i,
			   answer.text);
		lt_require(strstr(answer.text, "\nprocess_start_time_seconds "), "not whole");
		free(answer.text);
		close(fds[i]);
	}
}

static void scrape_by_crowd(const char *port, const struct lt *lt)
{
	int fds[CLIENTS];

	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = port ? tcp_connect(port) : http_connect(lt);
		http_get(fds[i], "/metrics");
	}
	require_all_served(fds);
}

LT_TEST(metrics, two_hundred_at_once)
{
	const char *port = free_port();
	struct lt *lt = lt__start("--metrics-listen", port, NULL);

	lt__tail(lt);
	scrape_by_crowd(NULL, lt);
	scrape_by_crowd(port, lt);
	lt__fence(lt); /* what happens is told as ever */
	require_served(lt);
	lt__stop(lt);
}

/* Each sends half a request, or a whole one whose answer it does not read. */
LT_TEST(metrics, hanging_scrapes)
{
	const char *port = free_port();
	struct lt *lt = lt__start("--metrics-listen", port, "--client-timeout", "1s", NULL);
	int fds[CLIENTS];

	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = tcp_connect(port);
		http_say(fds[i],
			 i % 2 ? "GET /metrics HT" : "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	/* by the socket all go on as before, at once */
	require_served(lt);
	lt_require(value_now(lt, "lifetrace_forks_total") >= 0, "no answer");
	/* and by TCP, as soon as those were dropped */
	struct answer answer = tcp_ask(port, "/metrics");
	lt_require(http_status(&answer) == 200, "\"%.200s\"", answer.text);
	free(answer.text);
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	lt__stop(lt); /* requires that no descriptor is left */
}

LT_TEST(metrics, scrapes_cut_off)
{
	const struct linger at_once = { .l_onoff = 1 };
	const char *port = free_port();
	struct lt *lt = lt__start("--metrics-listen", port, NULL);

	for (int i = 0; i < CLIENTS; i++) {
		int fd = i % 2 ? tcp_connect(port) : http_connect(lt);

		http_get(fd, "/metrics");
		if (i % 4 == 1) /* by a reset */
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(fd);
	}
	struct answer answer = tcp_ask(port, "/metrics");
	lt_require(http_status(&answer) == 200, "\"%.200s\"", answer.text);
	free(answer.text);
	require_served(lt);
	lt__stop(lt);
}
