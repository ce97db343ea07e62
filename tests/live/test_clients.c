/*
 * Clients that misbehave on the daemon's socket: each is dropped after a
 * bound, others notice nothing, and nothing of them stays. And what a client
 * may see that is not root.
 */
#include "http.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A silent client is dropped after a second, and seen to be within some more. */
#define TIMEOUT "--client-timeout", "1s"
#define DROP_NS (6 * NSEC_PER_SEC)

static bool fds_are(const struct lt *lt, int fds)
{
	return fds_of(lt__daemon_pid(lt)) <= fds;
}

static void require_fds(const struct lt *lt, int fds)
{
	lt_await(fds_are(lt, fds), "the daemon has %d descriptors, had %d",
		 fds_of(lt__daemon_pid(lt)), fds);
}

/* ---- what is no request ---- */

struct bytes {
	const char *title;
	const char *bytes;
	size_t len; /* 0: as a string */
};

static const struct bytes rubbish[] = {
	{ "nothing", "", 0 },
	{ "one byte", "G", 0 },
	{ "zeroes", "\0\0\0\0\0\0\0\0", 8 },
	{ "line ends", "\r\n\r\n\r\n\r\n", 0 },
	{ "binary", "\x16\x03\x01\x02\x00\x01\xfc\x03\x03\xff\xfe\xfd", 12 },
	{ "no version", "GET /v1/status\r\n\r\n", 0 },
	{ "unknown version", "GET /v1/status HTTP/9.9\r\nHost: x\r\n\r\n", 0 },
	{ "no host", "GET /v1/status HTTP/1.1\r\n\r\n", 0 },
	{ "line feeds only", "GET /v1/status HTTP/1.1\nHost: x\n\n", 0 },
	{ "header without colon", "GET /healthz HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", 0 },
	{ "NUL in the path", "GET /v1/\0status HTTP/1.1\r\nHost: x\r\n\r\n", 41 },
	{ "NUL in a header", "GET /healthz HTTP/1.1\r\nHost: x\0y\r\n\r\n", 37 },
	{ "broken escapes", "GET /v1/%status%?%=%&%zz=% HTTP/1.1\r\nHost: x\r\n\r\n", 0 },
	{ "body shorter than it says",
	  "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\nx", 0 },
	{ "length below zero", "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
	  0 },
	{ "length beyond all",
	  "POST /healthz HTTP/1.1\r\nHost: x\r\n"
	  "Content-Length: 99999999999999999999999\r\n\r\n",
	  0 },
	{ "broken chunk",
	  "POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 0 },
	{ "endless chunk",
	  "POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	  "ffffffffffffffff\r\nabc",
	  0 },
	{ "upgrade",
	  "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 0 },
	{ "expectation",
	  "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
	  "Expect: 100-continue\r\n\r\n",
	  0 },
	{ "half a request", "GET /v1/status HTTP/1.1\r\nHost: x\r\nAccept: */", 0 },
	{ "connect", "CONNECT /run:1 HTTP/1.1\r\nHost: x\r\n\r\n", 0 },
};

static void check_rubbish(const struct lt *lt, const struct bytes *what, bool half_closed)
{
	int fd = http_connect(lt);

	http_send(fd, what->bytes, what->len ? what->len : strlen(what->bytes));
	if (half_closed)
		shutdown(fd, SHUT_WR);
	require_served(lt);
	lt_require(http_closes(fd, DROP_NS), "%s: not dropped", what->title);
	close(fd);
}

LT_TEST(clients, rubbish)
{
	struct lt *lt = lt__start(TIMEOUT, NULL);
	int fds = fds_of(lt__daemon_pid(lt));

	for (size_t i = 0; i < ARRAY_SIZE(rubbish); i++)
		check_rubbish(lt, &rubbish[i], false);
	require_fds(lt, fds);
	lt__stop(lt);
}

LT_TEST(clients, rubbish_of_half_closed_clients)
{
	struct lt *lt = lt__start(TIMEOUT, NULL);
	int fds = fds_of(lt__daemon_pid(lt));

	for (size_t i = 0; i < ARRAY_SIZE(rubbish); i++)
		check_rubbish(lt, &rubbish[i], true);
	require_fds(lt, fds);
	lt__stop(lt);
}

/* Seeded: what fails once can be seen again. */
LT_TEST(clients, noise)
{
	struct lt *lt = lt__start(TIMEOUT, NULL);
	int fds = fds_of(lt__daemon_pid(lt));
	unsigned char noise[20000];

	srandom(1);
	for (int i = 0; i < 200; i++) {
		size_t len = random() % sizeof(noise);
		int fd = http_connect(lt);

		for (size_t k = 0; k < len; k++)
			noise[k] = random();
		if (i & 1)
			http_say(fd, "GET /v1/status?");
		http_send(fd, noise, len);
		if (i % 8 == 0)
			lt_require(http_closes(fd, DROP_NS), "%d: not dropped", i);
		close(fd);
	}
	require_served(lt);
	require_fds(lt, fds);
	lt__stop(lt);
}

/* Not before its time, and soon after it. */
LT_TEST(clients, half_a_request_is_dropped)
{
	struct lt *lt = lt__start(TIMEOUT, NULL);
	int fd = http_connect(lt);
	int64_t began = boottime_ns(), took;

	http_say(fd, "GET /v1/status HTTP/1.1\r\nHost:");
	lt_require(http_closes(fd, DROP_NS), "not dropped");
	took = boottime_ns() - began;
	lt_require(took > 800 * NSEC_PER_MSEC, "dropped after %ld ms already",
		   (long)(took / NSEC_PER_MSEC));
	close(fd);
	lt__stop(lt);
}

/* The rest of a request may come late, within the time. */
LT_TEST(clients, request_in_two_halves)
{
	struct lt *lt = lt__start("--client-timeout", "5s", NULL);
	int fd = http_connect(lt);
	struct answer answer;

	http_say(fd, "GET /heal");
	pass_time(NSEC_PER_SEC);
	http_say(fd, "thz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	answer = http_read(fd, LT_DEADLINE_NS);
	lt_require(http_status(&answer) == 200, "\"%s\"", answer.text);
	free(answer.text);
	close(fd);
	lt__stop(lt);
}

/* It is never silent, but neither does it ever ask. */
LT_TEST(clients, dribble_is_dropped)
{
	struct lt *lt = lt__start(TIMEOUT, NULL);
	int fd = http_connect(lt), sent = 0;
	int64_t end = boottime_ns() + 15 * NSEC_PER_SEC;

	http_say(fd, "GET /v1/status HTTP/1.1\r\nX-Long: ");
	while (boottime_ns() < end && http_say(fd, "x")) {
		sent++;
		pass_time(200 * NSEC_PER_MSEC);
	}
	cr_expect(boottime_ns() < end, "still served after %d bytes, one at a time, in 15 s", sent);
	close(fd);
	lt__stop(lt);
}

LT_TEST(clients, ten_megabytes_of_header)
{
	struct lt *lt = lt__start(TIMEOUT, NULL);
	long anon = status_of(lt__daemon_pid(lt), "RssAnon");
	char *header = malloc(10 << 20);
	struct answer answer;
	int fd = http_connect(lt);

	memset(header, 'x', 10 << 20);
	http_say(fd, "GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Big: ");
	lt_require(!http_send(fd, header, 10 << 20), "the daemon took all of it");
	answer = http_read(fd, DROP_NS);
	lt_require(answer.ended, "not dropped");
	require_served(lt);
	lt_require(status_of(lt__daemon_pid(lt), "RssAnon") - anon < 4096,
		   "the daemon grew by %ld KiB", status_of(lt__daemon_pid(lt), "RssAnon") - anon);
	free(answer.text);
	free(header);
	close(fd);
	lt__stop(lt);
}

/* ---- what is a wrong request ---- */

struct wrong {
	const char *path;
	int status;
	const char *word;
};

static const struct wrong wrongs[] = {
	{ "/", 404, "resource" },
	{ "/v1", 404, "resource" },
	{ "/v1/", 404, "resource" },
	{ "/v1/nonsense", 404, "resource" },
	{ "/v1/status/", 404, "resource" },
	{ "//v1/status", 404, "resource" },
	{ "/v1/../v1/status", 404, "resource" },
	{ "/v2/status", 404, "resource" },
	{ "/v1/status?x=1", 400, "'x'" },
	{ "/v1/zombies?nonsense=1", 400, "'nonsense'" },
	{ "/v1/zombies?pid", 400, "'pid'" },
	{ "/v1/zombies?pid=", 400, "'pid'" },
	{ "/v1/zombies?pid=-1", 400, "'pid'" },
	{ "/v1/zombies?pid=1e9", 400, "'pid'" },
	{ "/v1/zombies?pid=99999999999999999999", 400, "'pid'" },
	{ "/v1/zombies?pid=1&pid=x", 400, "'pid'" },
	{ "/v1/zombies?older=10", 400, "'older'" },
	{ "/v1/zombies?older=-1s", 400, "'older'" },
	{ "/v1/zombies?all=1", 400, "'all'" },
	{ "/v1/zombies?kernel=no", 400, "'kernel'" },
	{ "/v1/processes?uid=root", 400, "'uid'" },
	{ "/v1/processes?comm=", 400, "'comm'" },
	{ "/v1/processes?kind=fork", 400, "'kind'" },
	{ "/v1/events?kind=nonsense", 400, "'kind'" },
	{ "/v1/events?count=x", 400, "'count'" },
	{ "/v1/events?older=1s", 400, "'older'" },
	{ "/v1/record?pid=1", 400, "'pid'" },
	{ "/healthz?x=1", 400, "'x'" },
	{ "/v1/zombies?%0a%1b%5b31m=1", 400, "unknown" },
	{ "/v1/zombies?%22%5c=1", 400, "unknown" },
};

/* An answer of that status whose body is JSON with words for an error. */
static void require_error(const struct answer *answer, const char *what, int status,
			  const char *word)
{
	json_t *json = json_loads(http_body(answer), JSON_REJECT_DUPLICATES, NULL);
	const char *words = json_string_value(json_at(json, "error"));

	cr_expect(http_status(answer) == status, "%s: \"%.60s\", not %d", what, answer->text,
		  status);
	cr_expect(words && strstr(words, word), "%s: no %s in \"%s\"", what, word,
		  http_body(answer));
	json_decref(json);
}

LT_TEST(clients, wrong_requests)
{
	struct lt *lt = lt__start(NULL);

	for (size_t i = 0; i < ARRAY_SIZE(wrongs); i++) {
		struct answer answer = http_ask(lt, wrongs[i].path);

		require_error(&answer, wrongs[i].path, wrongs[i].status, wrongs[i].word);
		free(answer.text);
	}
	lt__stop(lt);
}

/* Words that no JSON can hold as they are. */
LT_TEST(clients, wrong_parameter_of_invalid_utf8)
{
	struct lt *lt = lt__start(NULL);
	struct answer answer = http_ask(lt, "/v1/zombies?%ff%fe=1");

	require_error(&answer, "%ff%fe=1", 400, "unknown");
	free(answer.text);
	lt__stop(lt);
}

LT_TEST(clients, wrong_methods)
{
	static const char *const methods[] = { "POST",	  "PUT",   "DELETE",
					       "OPTIONS", "PATCH", "NONSENSE" };
	struct lt *lt = lt__start(NULL);

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		char request[256];
		struct answer answer;
		int fd = http_connect(lt);

		snprintf(request, sizeof(request),
			 "%s /v1/status HTTP/1.1\r\nHost: x\r\n"
			 "Connection: close\r\nContent-Length: 5\r\n\r\nhello",
			 methods[i]);
		http_say(fd, request);
		answer = http_read(fd, LT_DEADLINE_NS);
		require_error(&answer, methods[i], 405, "GET");
		free(answer.text);
		close(fd);
	}
	lt__stop(lt);
}

LT_TEST(clients, many_requests_on_one_connection)
{
	static const char ask[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
	static const char last[] = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	struct lt *lt = lt__start(NULL);
	int fd = http_connect(lt), n = 0;
	struct answer answer;

	for (int i = 0; i < 50; i++)
		http_say(fd, ask);
	http_say(fd, last);
	answer = http_read(fd, LT_DEADLINE_NS);
	for (const char *p = answer.text; (p = strstr(p, "HTTP/1.1 200")); p++)
		n++;
	lt_require(n == 51, "%d answers to 51 requests", n);
	free(answer.text);
	close(fd);
	lt__stop(lt);
}

/* ---- too many ---- */

#define CROWD 300

/* As many as can get in, or to the door. */
static int come(const struct lt *lt, int crowd[CROWD])
{
	int n = 0;

	for (int i = 0; i < CROWD; i++) {
		crowd[n] = try_connect(lt, SOCK_NONBLOCK);
		lt_require(crowd[n] >= 0 || errno == EAGAIN, "connect: %s", strerror(errno));
		n += crowd[n] >= 0;
		if (i % 16 == 0)
			pass_time(10 * NSEC_PER_MSEC);
	}
	return n;
}

LT_TEST(clients, crowd)
{
	struct lt *lt = lt__start("--client-max", "16", TIMEOUT, NULL);
	int fds = fds_of(lt__daemon_pid(lt)), crowd[CROWD], n = come(lt, crowd);

	lt_require(n >= 16, "only %d of %d could connect", n, CROWD);
	lt_require(fds_of(lt__daemon_pid(lt)) <= fds + 2 * 16 + 4, "%d descriptors for 16 clients",
		   fds_of(lt__daemon_pid(lt)) - fds);
	while (n)
		close(crowd[--n]);
	require_served(lt);
	require_fds(lt, fds);
	lt__stop(lt);
}

/* A full house that empties between two looks of the daemon. */
LT_TEST(clients, crowd_that_goes_at_once)
{
	struct lt *lt = lt__start("--client-max", "8", "--client-timeout", "1m", NULL);
	int fds = fds_of(lt__daemon_pid(lt)), crowd[12];

	for (size_t i = 0; i < ARRAY_SIZE(crowd); i++)
		crowd[i] = http_connect(lt);
	pass_time(500 * NSEC_PER_MSEC);
	kill(lt__daemon_pid(lt), SIGSTOP);
	for (size_t i = 0; i < ARRAY_SIZE(crowd); i++)
		close(crowd[i]);
	kill(lt__daemon_pid(lt), SIGCONT);
	require_served(lt);
	require_fds(lt, fds);
	lt__stop(lt);
}

/* Those that ask nothing are dropped one timeout after the other: who comes last is served. */
LT_TEST(clients, silent_crowd_makes_room)
{
	struct lt *lt = lt__start("--client-max", "16", TIMEOUT, NULL);
	int fds = fds_of(lt__daemon_pid(lt)), crowd[20];
	struct answer answer;

	for (size_t i = 0; i < ARRAY_SIZE(crowd); i++)
		crowd[i] = http_connect(lt);
	answer = http_ask(lt, "/healthz");
	lt_require(http_status(&answer) == 200, "not served: \"%s\"", answer.text);
	free(answer.text);
	for (size_t i = 0; i < ARRAY_SIZE(crowd); i++)
		close(crowd[i]);
	require_fds(lt, fds);
	lt__stop(lt);
}

/* Whoever follows without end, and there may be many, root is still answered. */
LT_TEST(clients, idle_streams_of_others_do_not_lock_root_out)
{
	struct lt *lt = lt__start("--client-max", "16", TIMEOUT, NULL);
	int go[2], ready[2];
	pid_t pid;
	char c;

	cr_assert(!pipe2(go, O_CLOEXEC) && !pipe2(ready, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		close(go[1]);
		if (setgid(NOBODY_UID) || setuid(NOBODY_UID))
			_exit(1);
		for (int i = 0; i < 16; i++)
			http_get(http_connect(lt), "/v1/events?kind=lost");
		_exit(write(ready[1], "x", 1) != 1 || read(go[0], &c, 1) < 0);
	}
	close(ready[1]);
	lt_require(read(ready[0], &c, 1) == 1, "the crowd fails");
	pass_time(500 * NSEC_PER_MSEC);
	require_served(lt);
	close(go[1]);
	close(go[0]);
	close(ready[0]);
	waitpid(pid, NULL, 0);
	lt__stop(lt);
}

/* ---- streams ---- */

static pid_t born_and_dead(void)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(0);
	return pid;
}

/* N processes that live for a moment, of this program. */
static void storm(int n)
{
	for (int i = 0; i < n; i++) {
		pid_t pid = born_and_dead();

		cr_assert(pid > 0, "vfork: %s", strerror(errno));
		waitpid(pid, NULL, 0);
		if (i % 256 == 0)
			lt__pump(0);
	}
}

static int64_t sum_of_lost(struct lt *lt)
{
	json_t *status = lt__status(lt), *value;
	int64_t sum = 0;
	const char *kind;

	json_object_foreach(json_at(status, "lost"), kind, value)
		sum += json_integer_value(value);
	json_decref(status);
	return sum;
}

static int stream_open(const struct lt *lt, const char *path)
{
	struct pollfd pfd = { .events = POLLIN };
	char head[4096];
	ssize_t n;

	pfd.fd = http_connect(lt);
	http_get(pfd.fd, path);
	lt_require(poll(&pfd, 1, 10000) == 1, "no answer to %s", path);
	n = recv(pfd.fd, head, sizeof(head) - 1, MSG_PEEK);
	head[n > 0 ? n : 0] = '\0';
	lt_require(strstr(head, " 200 "), "%s: \"%s\"", path, head);
	return pfd.fd;
}

/* How many lines of KIND are of children of PPID. */
static int count_of(const char *text, const char *kind, pid_t ppid)
{
	char kind_part[64], ppid_part[64];
	int n = 0;

	snprintf(kind_part, sizeof(kind_part), "\"kind\":\"%s\"", kind);
	snprintf(ppid_part, sizeof(ppid_part), "\"ppid\":%d,", ppid);
	for (const char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		const char *k = strstr(line, kind_part), *p = strstr(line, ppid_part);

		n += k && k < end && p && p < end;
	}
	return n;
}

/* One that never reads, beside one that does: that one gets all, and the ring loses nothing. */
LT_TEST(clients, stream_that_is_never_read)
{
	struct lt *lt = lt__start("--stream-buffer", "1M", NULL);
	pid_t daemon = lt__daemon_pid(lt);
	int fds = fds_of(daemon), fd = stream_open(lt, "/v1/events");
	long anon = status_of(daemon, "RssAnon");

	for (int64_t end = boottime_ns() + LT_DEADLINE_NS; !fds_are(lt, fds);) {
		storm(500);
		lt_require(boottime_ns() < end, "not dropped");
	}
	require_served(lt);
	lt_require(status_of(daemon, "RssAnon") - anon < 24 << 10, "the daemon grew by %ld KiB",
		   status_of(daemon, "RssAnon") - anon);
	lt_require(sum_of_lost(lt) == 0, "%ld events lost", sum_of_lost(lt));
	close(fd);
	lt__stop(lt);
}

/* Whether a tail's lines hold that many births and reaps of our children. */
static bool has_all(const struct job *job, int births)
{
	char *text = read_fd(job->out, NULL);
	bool all = count_of(text, "reap", getpid()) >= births &&
		   count_of(text, "fork", getpid()) >= births;

	free(text);
	return all;
}

/* A tail gets all that happens, and soon. */
static void check_reader(struct lt *lt, int births)
{
	int64_t end;
	struct job job;
	char *err;
	bool all;

	job__start(&job, &(struct plan){ .argv = ARGV(LIFETRACE, "tail", "--json", "--socket",
						      lt__socket(lt)) });
	while (!file_size(job.out))
		storm(10);
	storm(births);
	end = boottime_ns() + 30 * NSEC_PER_SEC;
	while (!(all = has_all(&job, births)) && !job__ended(&job) && boottime_ns() < end)
		pass_time(500 * NSEC_PER_MSEC);
	if (job.pid)
		kill(job.pid, SIGTERM);
	job__wait(&job, LT_DEADLINE_NS);
	err = read_fd(job.err, NULL);
	cr_expect(all, "not all came; tail ended with %d: %s", job.code, err);
	free(err);
	job__free(&job);
}

LT_TEST(clients, reader_gets_every_event_of_a_storm)
{
	struct lt *lt = lt__start("--stream-buffer", "64M", NULL);

	check_reader(lt, 20000);
	cr_expect(sum_of_lost(lt) == 0, "%ld events lost", sum_of_lost(lt));
	lt__stop(lt);
}

LT_TEST(clients, reader_beside_those_who_never_read)
{
	struct lt *lt = lt__start("--stream-buffer", "64M", NULL);
	int fd[4];

	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = stream_open(lt, i % 2 ? "/v1/events" : "/v1/record");
	check_reader(lt, 5000);
	cr_expect(sum_of_lost(lt) == 0, "%ld events lost", sum_of_lost(lt));
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	lt__stop(lt);
}

/* What many lives add up to is not too much for a recording's beginning. */
LT_TEST(clients, record_after_a_storm)
{
	struct lt *lt = lt__start("--stream-buffer", "64M", NULL);
	struct result result;

	storm(40000);
	run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, "record", "/dev/null", "--for",
						  "500ms", "--socket", lt__socket(lt)) });
	cr_expect(result.code == 0, "exit %d: %s", result.code, result.err);
	result__free(&result);
	lt__stop(lt);
}

LT_TEST(clients, close_in_mid_stream)
{
	struct lt *lt = lt__start(NULL);
	int fds = fds_of(lt__daemon_pid(lt));

	for (int i = 0; i < 60; i++) {
		int fd = stream_open(lt, i % 3 ? "/v1/events" : "/v1/record");

		if (i % 2)
			storm(5);
		if (i % 5 == 0)
			shutdown(fd, SHUT_RDWR);
		close(fd);
	}
	storm(5);
	require_served(lt);
	require_fds(lt, fds);
	lt__stop(lt);
}

/* Nothing happens for it, so only its end can be seen. */
LT_TEST(clients, close_of_an_idle_stream)
{
	struct lt *lt = lt__start(NULL);
	int fds = fds_of(lt__daemon_pid(lt)), fd[10];

	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = stream_open(lt, "/v1/events?kind=lost");
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	require_fds(lt, fds);
	lt__stop(lt);
}

LT_TEST(clients, half_closed_request)
{
	struct lt *lt = lt__start(NULL);
	int fds = fds_of(lt__daemon_pid(lt)), fd = http_connect(lt);
	struct answer answer;

	http_get(fd, "/v1/status");
	shutdown(fd, SHUT_WR);
	answer = http_read(fd, LT_DEADLINE_NS);
	lt_require(http_status(&answer) == 200, "\"%s\"", answer.text);
	free(answer.text);
	close(fd);
	require_fds(lt, fds);
	lt__stop(lt);
}

static bool gets_something(int fd, struct answer *answer)
{
	struct answer more;

	storm(1);
	more = http_read(fd, 50 * NSEC_PER_MSEC);
	answer->text = realloc(answer->text, answer->len + more.len + 1);
	memcpy(answer->text + answer->len, more.text, more.len + 1);
	answer->len += more.len;
	answer->ended |= more.ended;
	free(more.text);
	return strstr(answer->text, "\"kind\":\"fork\"") || answer->ended;
}

/* As `printf … | nc -U` does it: it asks, says no more, and listens. */
LT_TEST(clients, half_closed_stream)
{
	struct lt *lt = lt__start(NULL);
	int fds = fds_of(lt__daemon_pid(lt)), fd = http_connect(lt);
	struct answer answer = { .text = calloc(1, 1) };

	http_get(fd, "/v1/events");
	shutdown(fd, SHUT_WR);
	lt_await(gets_something(fd, &answer), "no event");
	cr_expect(!answer.ended, "dropped, although it listens");
	close(fd);
	free(answer.text);
	require_fds(lt, fds);
	lt__stop(lt);
}

/* For longer than a silent client may be: it is not the one who has to speak. */
LT_TEST(clients, idle_stream_stays)
{
	struct lt *lt = lt__start(TIMEOUT, NULL);
	int fd = stream_open(lt, "/v1/events?comm=lt-idle*");
	struct answer answer = http_read(fd, 4 * NSEC_PER_SEC);
	struct cast *cast;

	lt_require(!answer.ended, "ended: \"%s\"", answer.text);
	free(answer.text);
	cast = cast__start("names", "lt-idle-1", NULL);
	cast__hold(cast, "named");
	cast__go(cast);
	cast__free(cast);
	answer = http_read(fd, NSEC_PER_SEC);
	lt_require(strstr(answer.text, "lt-idle-1"), "nothing came: \"%s\"", answer.text);
	free(answer.text);
	close(fd);
	lt__stop(lt);
}

/* ---- none spins ---- */

/* What the daemon does in three seconds; other processes of the host live meanwhile. */
static void require_calm(const struct lt *lt, const char *who)
{
	pid_t daemon = lt__daemon_pid(lt);
	long switches = status_of(daemon, "voluntary_ctxt_switches"), ms = cpu_ms_of(daemon);

	pass_time(3 * NSEC_PER_SEC);
	switches = status_of(daemon, "voluntary_ctxt_switches") - switches;
	ms = cpu_ms_of(daemon) - ms;
	cr_expect(switches < 150 && ms < 600, "%s: %ld wake-ups and %ld ms of CPU in 3 s", who,
		  switches, ms);
}

LT_TEST(clients, idle_streams_cost_nothing)
{
	struct lt *lt = lt__start("--batch", "500ms", NULL);
	int fd[20];

	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = stream_open(lt, "/v1/events?kind=lost");
	require_calm(lt, "idle streams");
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	lt__stop(lt);
}

LT_TEST(clients, half_closed_streams_cost_nothing)
{
	struct lt *lt = lt__start("--batch", "500ms", NULL);
	int fd[5];

	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = stream_open(lt, "/v1/events?kind=lost");
		shutdown(fd[i], SHUT_WR);
	}
	require_calm(lt, "half-closed streams");
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	lt__stop(lt);
}

/* Silent ones, half requests, answers that nobody reads, streams that are full. */
LT_TEST(clients, stuck_clients_cost_nothing)
{
	struct lt *lt = lt__start("--batch", "500ms", "--client-timeout", "1m", NULL);
	int fd[20];

	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = http_connect(lt);
		if (i % 4 == 1)
			http_say(fd[i], "GET /v1/sta");
		else if (i % 4 == 2)
			http_get(fd[i], "/v1/events");
		else if (i % 4 == 3)
			for (int k = 0; k < 20; k++)
				http_say(fd[i],
					 "GET /v1/processes?kernel HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	storm(500);
	pass_time(NSEC_PER_SEC);
	require_calm(lt, "stuck clients");
	require_served(lt);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	lt__stop(lt);
}

LT_TEST(clients, full_house_costs_nothing)
{
	struct lt *lt =
		lt__start("--batch", "500ms", "--client-max", "4", "--client-timeout", "1m", NULL);
	int fd[12];

	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = http_connect(lt);
	pass_time(500 * NSEC_PER_MSEC);
	require_calm(lt, "a full house, and others at the door");
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	lt__stop(lt);
}

/* ---- answers that nobody reads ---- */

LT_TEST(clients, unread_answers_are_dropped)
{
	struct lt *lt = lt__start(TIMEOUT, NULL);
	int fds = fds_of(lt__daemon_pid(lt)), fd[30];

	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = http_connect(lt);
		for (int k = 0; k < 20; k++)
			http_say(fd[i], "GET /v1/processes?kernel&all HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	require_served(lt);
	require_fds(lt, fds);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	lt__stop(lt);
}

/* ---- answers of very many rows ---- */

static void check_rows(const json_t *rows, size_t at_least)
{
	json_t *ids = json_object(), *row;
	size_t i;

	json_array_foreach(rows, i, row)
		json_object_set(ids, json_string_value(json_object_get(row, "id")), row);
	cr_expect(json_object_size(ids) == json_array_size(rows), "a row came twice");
	cr_expect(json_array_size(rows) >= at_least, "%zu rows of %zu", json_array_size(rows),
		  at_least);
	json_decref(ids);
}

/* They are made as they are read: who reads none, or goes, costs next to nothing. */
LT_TEST(clients, large_answers_are_made_as_they_are_read)
{
	struct lt *lt = lt__start(TIMEOUT, "--cow", "off", NULL);
	int fds = fds_of(lt__daemon_pid(lt)), fd[20];
	long anon;
	json_t *all;

	storm(5000);
	all = lt__json(lt, NULL, "ps", "--all", NULL);
	check_rows(json_at(all, "processes"), 5000);
	json_decref(all);
	anon = status_of(lt__daemon_pid(lt), "RssAnon");
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = http_connect(lt);
		http_say(fd[i], "GET /v1/processes?all HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	close(fd[0]);
	require_served(lt);
	anon = status_of(lt__daemon_pid(lt), "RssAnon") - anon;
	cr_expect(anon < 20 << 10, "the daemon grew by %ld KiB", anon);
	require_fds(lt, fds);
	for (size_t i = 1; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	lt__stop(lt);
}

/* ---- who may see what ---- */

/* What PATH says to that user and group; the answer's text is to be freed. */
static struct answer ask_as(const struct lt *lt, uid_t uid, gid_t gid, const char *path)
{
	int memory = memfd_create("answer", MFD_CLOEXEC), raw;
	struct answer answer = { 0 };
	pid_t pid = fork();

	if (!pid) {
		if (syscall(SYS_setgroups, 0, NULL) || setgid(gid) || setuid(uid))
			_exit(1);
		answer = http_ask(lt, path);
		_exit(write(memory, answer.text, answer.len) != (ssize_t)answer.len);
	}
	waitpid(pid, &raw, 0);
	lt_require(WIFEXITED(raw) && !WEXITSTATUS(raw), "cannot ask as user %d", uid);
	answer.text = read_fd(memory, &answer.len);
	close(memory);
	return answer;
}

/* The row of PID as that user sees it. */
static json_t *row_as(const struct lt *lt, uid_t uid, gid_t gid, pid_t pid)
{
	char path[64];
	struct answer answer;
	json_t *json, *row;

	snprintf(path, sizeof(path), "/v1/processes?pid=%d", pid);
	answer = ask_as(lt, uid, gid, path);
	json = json_loads(http_body(&answer), JSON_REJECT_DUPLICATES, NULL);
	row = json_incref(json_array_get(json_at(json, "processes"), 0));
	lt_require(row, "no row of %d: \"%s\"", pid, answer.text);
	json_decref(json);
	free(answer.text);
	return row;
}

static void require_args(json_t *row, bool seen, const char *who)
{
	const char *second = json_string_value(json_array_get(json_at(row, "args"), 1));

	cr_expect(seen ? second && !strcmp(second, "60") : json_is_null(json_at(row, "args")),
		  "%s sees %s", who, second ? second : "no arguments");
	cr_expect(json_matches(row, "comm=sleep"), "%s does not see its name", who);
	json_decref(row);
}

static void start_sleep(struct job *job, uid_t uid)
{
	job__start(job, &(struct plan){ .argv = ARGV("/bin/sleep", "60"), .uid = uid });
}

static void end_sleep(struct job *job)
{
	kill(job->pid, SIGKILL);
	job__free(job);
}

LT_TEST(clients, arguments_of_others_are_not_shown)
{
	struct lt *lt = lt__start("--group", "", NULL);
	struct job own, foreign;

	start_sleep(&own, NOBODY_UID);
	start_sleep(&foreign, 0);
	json_decref(lt__await_row(lt, "ps", own.pid, "comm=sleep"));
	json_decref(lt__await_row(lt, "ps", foreign.pid, "comm=sleep"));
	require_args(row_as(lt, NOBODY_UID, NOBODY_UID, own.pid), true, "nobody, of its own");
	require_args(row_as(lt, NOBODY_UID, NOBODY_UID, foreign.pid), false, "nobody, of root's");
	require_args(row_as(lt, NOBODY_UID - 1, NOBODY_UID, own.pid), false,
		     "another, of nobody's");
	require_args(row_as(lt, 0, 0, own.pid), true, "root, of nobody's");
	end_sleep(&own);
	end_sleep(&foreign);
	lt__stop(lt);
}

LT_TEST(clients, members_of_the_group_see_all)
{
	struct lt *lt = lt__start("--group", "nogroup", NULL);
	struct job foreign;

	start_sleep(&foreign, 0);
	json_decref(lt__await_row(lt, "ps", foreign.pid, "comm=sleep"));
	require_args(row_as(lt, NOBODY_UID, NOBODY_UID, foreign.pid), true, "a member");
	require_args(row_as(lt, NOBODY_UID, NOBODY_UID - 1, foreign.pid), false, "another");
	end_sleep(&foreign);
	lt__stop(lt);
}

LT_TEST(clients, only_root_may_record)
{
	struct lt *lt = lt__start("--group", "nogroup", NULL);
	struct answer answer = ask_as(lt, NOBODY_UID, NOBODY_UID, "/v1/record");

	require_error(&answer, "/v1/record", 403, "root");
	free(answer.text);
	lt__stop(lt);
}

/* Not even of one's own: a program that one started may have more rights than oneself. */
LT_TEST(clients, only_root_may_stream_addresses)
{
	struct lt *lt = lt__start("--group", "nogroup", NULL);
	struct answer answer;
	struct job own;
	char path[64];

	start_sleep(&own, NOBODY_UID);
	json_decref(lt__await_row(lt, "ps", own.pid, "comm=sleep"));
	snprintf(path, sizeof(path), "/v1/events?raw-cow=%d", own.pid);
	answer = ask_as(lt, NOBODY_UID, NOBODY_UID, path);
	require_error(&answer, path, 403, "root");
	free(answer.text);
	end_sleep(&own);
	lt__stop(lt);
}

/* A stream shows no more than a row. */
LT_TEST(clients, arguments_of_others_are_not_streamed)
{
	struct lt *lt = lt__start("--group", "", NULL);
	int memory = memfd_create("answer", MFD_CLOEXEC), raw;
	struct job own, foreign;
	char *text;
	pid_t pid = fork();

	if (!pid) {
		struct answer answer;

		if (syscall(SYS_setgroups, 0, NULL) || setgid(NOBODY_UID) || setuid(NOBODY_UID))
			_exit(1);
		answer = http_ask(lt, "/v1/events?kind=exec&comm=sleep&count=2");
		_exit(write(memory, answer.text, answer.len) != (ssize_t)answer.len);
	}
	pass_time(NSEC_PER_SEC);
	start_sleep(&own, NOBODY_UID);
	start_sleep(&foreign, 0);
	waitpid(pid, &raw, 0);
	text = read_fd(memory, NULL);
	lt_require(WIFEXITED(raw) && !WEXITSTATUS(raw), "cannot stream: %s", text);
	cr_expect(strstr(text, "\"args\":[\"/bin/sleep\",\"60\"]"), "its own are not there: %s",
		  text);
	cr_expect(strstr(text, "\"args\":null"), "another's are there: %s", text);
	end_sleep(&own);
	end_sleep(&foreign);
	free(text);
	close(memory);
	lt__stop(lt);
}
