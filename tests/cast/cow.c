/*
 * usage: cow CASE PAGES - writes to pages and says which of them the kernel gave a new frame
 *
 * The process that acts says its pid as "actor", holds at "ready", acts, says as "moved" how many
 * pages have another page frame than before (/proc/self/pagemap; -1 where that tells nothing) and,
 * if the kernel counts it, as "wpcopy" how many copies its delay accounting saw meanwhile; then it
 * holds at "done". Which of the two acts, the other only being there:
 *
 * child, parent: writes to shared pages, one byte each; read: the child only reads them; syscall: the
 * child has read(2) write to them; reuse: the parent writes when the child is gone, apart: by turns to one
 * area and another; threads: 64 threads
 * of the parent write; huge: the child writes to huge pages, small: to the same without
 * Alone: zero: writes to pages that were only read before; shared, file: to shared memory and to a
 * shared file, read before; mprotect: to pages that were made read-only and writable again
 */
#include "cast.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/taskstats.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define THREADS 64
#define HUGE_BYTES (2UL << 20)

static const char text[] =
	"child|parent|read|syscall|reuse|apart|threads|huge|small|zero|shared|file|mprotect PAGES";
static size_t pages, page_bytes;
static char *memory;
static struct gate gate;
static volatile char sink;

/* ---- what the kernel says ---- */

static void read_frames(uint64_t *frames)
{
	off_t at = (off_t)((uintptr_t)memory / page_bytes * sizeof(*frames));
	size_t want = pages * sizeof(*frames);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pread(fd, frames, want, at) != (ssize_t)want)
		fail("/proc/self/pagemap");
	close(fd);
}

#define PRESENT (1ULL << 63)

/* A page that was not mapped before has none to move from. */
static int moved(const uint64_t *before, const uint64_t *after)
{
	const uint64_t frame = (1ULL << 55) - 1;
	int count = 0;

	for (size_t i = 0; i < pages; i++)
		count += before[i] & after[i] & PRESENT && (before[i] ^ after[i]) & frame;
	return count;
}

struct message {
	struct nlmsghdr nl;
	struct genlmsghdr genl;
	char attributes[2048];
};

/* Puts one attribute into the message, sends it and takes the answer. */
static bool ask(int fd, struct message *m, uint16_t type, uint8_t command, uint16_t attribute,
		const void *value, uint16_t len)
{
	struct nlattr head = { .nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = attribute };

	memset(m, 0, sizeof(*m));
	m->nl.nlmsg_type = type;
	m->nl.nlmsg_flags = NLM_F_REQUEST;
	m->nl.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN) + NLA_ALIGN(head.nla_len);
	m->genl.cmd = command;
	m->genl.version = 1;
	memcpy(m->attributes, &head, sizeof(head));
	memcpy(m->attributes + NLA_HDRLEN, value, len);
	return send(fd, m, m->nl.nlmsg_len, 0) == (ssize_t)m->nl.nlmsg_len &&
	       recv(fd, m, sizeof(*m), 0) > 0 && m->nl.nlmsg_type != NLMSG_ERROR;
}

/* The payload of the attribute of that type, NULL when it is not there. */
static const void *find(const char *from, size_t len, uint16_t type)
{
	struct nlattr head;

	for (size_t at = 0; at + sizeof(head) <= len; at += NLA_ALIGN(head.nla_len)) {
		memcpy(&head, from + at, sizeof(head));
		if (head.nla_len < sizeof(head))
			break;
		if (head.nla_type == type)
			return from + at + NLA_HDRLEN;
	}
	return NULL;
}

/* Of the whole thread group; -1: the kernel does not count it. */
static int64_t wpcopy_count(void)
{
	int64_t count = -1;
#if TASKSTATS_VERSION >= 13
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	uint32_t self = (uint32_t)getpid();
	const void *id, *group, *stats;
	struct taskstats s;
	struct message m;

	if (ask(fd, &m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, "TASKSTATS", 10) &&
	    (id = find(m.attributes, sizeof(m.attributes), CTRL_ATTR_FAMILY_ID)) &&
	    ask(fd, &m, *(const uint16_t *)id, TASKSTATS_CMD_GET, TASKSTATS_CMD_ATTR_TGID, &self,
		sizeof(self)) &&
	    (group = find(m.attributes, sizeof(m.attributes), TASKSTATS_TYPE_AGGR_TGID)) &&
	    (stats = find(group, 1024, TASKSTATS_TYPE_STATS))) {
		memcpy(&s, stats, sizeof(s));
		if (s.version >= 13)
			count = (int64_t)s.wpcopy_count;
	}
	close(fd);
#endif
	return count;
}

/* ---- acts ---- */

static void write_from(size_t begin, size_t end)
{
	for (size_t i = begin; i < end; i++)
		((volatile char *)memory)[i * page_bytes] = 2;
}

static void write_all(void)
{
	write_from(0, pages);
}

/* The second half's pages are those of an area of its own. */
static void write_by_turns(void)
{
	for (size_t i = 0; i < pages / 2; i++) {
		write_from(i, i + 1);
		write_from(pages / 2 + i, pages / 2 + i + 1);
	}
}

static void read_all(void)
{
	for (size_t i = 0; i < pages; i++)
		sink = ((volatile char *)memory)[i * page_bytes];
}

/* The kernel writes: one byte to each page. */
static void read_into_all(void)
{
	int fd = memfd_create("cast", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)pages))
		fail("memfd");
	for (size_t i = 0; i < pages; i++)
		if (pread(fd, memory + i * page_bytes, 1, (off_t)i) != 1)
			fail("pread");
	close(fd);
}

static pthread_barrier_t start, stop;

static void *write_part(void *number)
{
	size_t part = pages / THREADS, n = (size_t)number;

	pthread_barrier_wait(&start);
	write_from(n * part, n + 1 == THREADS ? pages : (n + 1) * part);
	pthread_barrier_wait(&stop);
	return NULL;
}

static void write_by_threads(void)
{
	pthread_barrier_wait(&start);
	pthread_barrier_wait(&stop);
}

static void make_threads(void)
{
	pthread_t thread;

	pthread_barrier_init(&start, NULL, THREADS + 1);
	pthread_barrier_init(&stop, NULL, THREADS + 1);
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, write_part, (void *)i))
			fail("pthread_create");
}

static void act(void (*what)(void))
{
	uint64_t *before = calloc(pages, sizeof(*before)), *after = calloc(pages, sizeof(*after));
	int64_t wpcopy;

	if (!before || !after)
		fail("calloc");
	memset(after, 1, pages * sizeof(*after));
	read_frames(before);
	say("actor", "%d", getpid());
	wpcopy_count();
	hold("warm"); /* what saying and holding write to is copied here */
	wpcopy = wpcopy_count();
	hold("ready");
	what();
	hold("done");
	if (wpcopy >= 0)
		say("wpcopy", "%lld", (long long)(wpcopy_count() - wpcopy));
	read_frames(after);
	say("moved", "%d", moved(before, after));
}

/* ---- cases ---- */

static void map_memory(int flags, int fd)
{
	memory = mmap(NULL, pages * page_bytes + HUGE_BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (memory == MAP_FAILED)
		fail("mmap");
	memory = (char *)(((uintptr_t)memory + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1));
}

static void by_child(void (*what)(void))
{
	pid_t pid = fork_or_fail();

	if (!pid) {
		act(what);
		_exit(0);
	}
	reap(pid, 0);
}

static void by_parent(void (*what)(void))
{
	pid_t pid;

	gate__init(&gate);
	pid = fork_or_fail();
	if (!pid) {
		gate__pass(&gate);
		_exit(0);
	}
	act(what);
	gate__open(&gate, 1);
	reap(pid, 0);
}

static void run_child(void)
{
	by_child(write_all);
}

static void run_parent(void)
{
	by_parent(write_all);
}

static void run_read(void)
{
	by_child(read_all);
}

static void run_syscall(void)
{
	by_child(read_into_all);
}

static void act_when_child_is_gone(void (*what)(void))
{
	pid_t pid = fork_or_fail();

	if (!pid)
		_exit(0);
	reap(pid, 0);
	act(what);
}

static void run_reuse(void)
{
	act_when_child_is_gone(write_all);
}

static void run_apart(void)
{
	if (mprotect(memory + pages / 2 * page_bytes, pages / 2 * page_bytes,
		     PROT_READ | PROT_WRITE | PROT_EXEC))
		fail("mprotect");
	act_when_child_is_gone(write_by_turns);
}

static void run_threads(void)
{
	make_threads();
	by_parent(write_by_threads);
}

static void run_alone(void)
{
	act(write_all);
}

static void run_protected(void)
{
	if (mprotect(memory, pages * page_bytes, PROT_READ) ||
	    mprotect(memory, pages * page_bytes, PROT_READ | PROT_WRITE))
		fail("mprotect");
	act(write_all);
}

static int file_for_all(void)
{
	char path[] = "cast-cow-XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0 || unlink(path) ||
	    posix_fallocate(fd, 0, (off_t)(pages * page_bytes + HUGE_BYTES)))
		fail("a file in the working directory");
	return fd;
}

#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)

static const struct {
	const char *name;
	void (*run)(void);
	int flags;  /* of mmap; without MAP_ANONYMOUS: of a file */
	int advice; /* of madvise */
	void (*before)(void);
} cases[] = {
	{ "child", run_child, PRIVATE, MADV_NOHUGEPAGE, write_all },
	{ "parent", run_parent, PRIVATE, MADV_NOHUGEPAGE, write_all },
	{ "read", run_read, PRIVATE, MADV_NOHUGEPAGE, write_all },
	{ "syscall", run_syscall, PRIVATE, MADV_NOHUGEPAGE, write_all },
	{ "reuse", run_reuse, PRIVATE, MADV_NOHUGEPAGE, write_all },
	{ "apart", run_apart, PRIVATE, MADV_NOHUGEPAGE, write_all },
	{ "threads", run_threads, PRIVATE, MADV_NOHUGEPAGE, write_all },
	{ "huge", run_child, PRIVATE, MADV_HUGEPAGE, write_all },
	{ "small", run_child, PRIVATE, MADV_NOHUGEPAGE, write_all },
	{ "zero", run_alone, PRIVATE, MADV_NOHUGEPAGE, read_all },
	{ "shared", run_child, MAP_SHARED | MAP_ANONYMOUS, MADV_NORMAL, write_all },
	{ "file", run_alone, MAP_SHARED, MADV_NORMAL, read_all },
	{ "mprotect", run_protected, PRIVATE, MADV_NOHUGEPAGE, write_all },
};

static int huge_kib(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "re");
	char line[256];
	int kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "AnonHugePages: %d kB", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		usage(text);
	page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	pages = (size_t)number(argv[2], text);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (strcmp(argv[1], cases[i].name))
			continue;
		map_memory(cases[i].flags, cases[i].flags & MAP_ANONYMOUS ? -1 : file_for_all());
		madvise(memory, pages * page_bytes, cases[i].advice);
		cases[i].before();
		enter_stage();
		say("huge_kib", "%d", huge_kib());
		cases[i].run();
		return 0;
	}
	usage(text);
}
