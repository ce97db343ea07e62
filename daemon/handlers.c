// SPDX-License-Identifier: GPL-2.0-only
#include "handlers.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <gelf.h>
#include <inttypes.h>
#include <libelf.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "clock.h"
#include "handlers.skel.h"
#include "log.h"

#define HASH_NONFATAL_OOM 1
/* A key begins with a pid: see core/life.h. */
#define HASH_FUNCTION(key, len, hash)                                         \
	do {                                                                  \
		uint64_t number_;                                             \
		memcpy(&number_, (key), sizeof(number_));                     \
		(void)(len);                                                  \
		(hash) = (unsigned)((number_ * 0x9e3779b97f4a7c15ULL) >> 32); \
	} while (0)
#include <uthash.h>

/* Each is four descriptors, and a page of every program that maps it. */
#define LIBRARIES_MAX 512
#define DESCRIPTORS_WANTED (LIBRARIES_MAX * 4 + 1024)
/* Programs looked at in one pass; the next goes on. A look is some 50 µs. */
#define LOOKS_MAX 4096
/*
 * Of looking, in one go. To cover a library takes from 1 ms on, and longer the more
 * programs map it: each is the end of its slice.
 */
#define SLICE_NS 2000000ULL
/* Who execs where no library is known, between two looks; the pass finds the others. */
#define NOTES_MAX 64
/* Who has no library so long after its exec maps none: it is static. */
#define SETTLED_NS 1000000000ULL
/* Libraries that are no good, told one by one; further ones are only counted. */
#define TOLD_MAX 32

#define PROBES 2

/* A file that is mapped; see key_of(). */
struct library_key {
	uint64_t device, inode, changed_ns;
};

struct library {
	struct library_key key;
	struct bpf_link *links[PROBES]; /* all, or none: it is not covered */
	uint32_t users;			/* programs that map it, at the last pass */
};

/* A program that was looked at; another one after each exec. */
struct program_key {
	uint64_t pid, start_ns, exec_ns;
};

struct program {
	struct program_key key;
	struct library *library; /* NULL: it maps none */
	uint32_t pass;		 /* the last one that visited it */
	UT_hash_handle hh;
};

struct handlers {
	struct handlers_bpf *skel;
	struct library *libraries[LIBRARIES_MAX];
	size_t library_count;
	struct program *programs;
	uint32_t covered, not_covered;
	uint32_t pass;
	bool passing, passed;	   /* one is under way; one has come to its end */
	struct program_key *looks; /* at whom this pass is yet to look: from `looked` on */
	size_t look_count, looked;
	uint32_t covered_told, not_covered_told; /* by handlers_has_changed() */
	bool passed_told;
	uint32_t told; /* in the log */
	bool full_told, open_told;
	uint64_t repair_interval_ns;
	bool has_cookies;
	struct lt_new_files notes[NOTES_MAX];
	size_t noted;
};

/* ---- where a library's functions lie in its file ---- */

/*
 * exit() of musl ends in _Exit(), and so does its _exit(); in glibc and bionic
 * the two are names of one function.
 */
static const char *const functions[PROBES] = { "exit", "_Exit" };

#define FILE_MAX (64 << 20)
#define SYMBOLS_MAX (4 << 20)

/* The offset in the file of an address; 0: it is in none of the segments. */
static uint64_t offset_of(Elf *elf, uint64_t address)
{
	size_t count = 0;
	GElf_Phdr segment;

	elf_getphdrnum(elf, &count);
	for (size_t i = 0; i < count && gelf_getphdr(elf, (int)i, &segment); i++)
		if (segment.p_type == PT_LOAD && segment.p_flags & PF_X &&
		    address >= segment.p_vaddr && address - segment.p_vaddr < segment.p_filesz)
			return address - segment.p_vaddr + segment.p_offset;
	return 0;
}

static void take_symbol(Elf *elf, const GElf_Shdr *section, const GElf_Sym *symbol,
			uint64_t offsets[PROBES])
{
	const char *name;

	if (GELF_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_shndx == SHN_UNDEF)
		return;
	name = elf_strptr(elf, section->sh_link, symbol->st_name);
	for (int i = 0; name && i < PROBES; i++)
		if (!offsets[i] && !strcmp(name, functions[i]))
			offsets[i] = offset_of(elf, symbol->st_value);
}

static void read_symbols(Elf *elf, Elf_Scn *section, const GElf_Shdr *header,
			 uint64_t offsets[PROBES])
{
	Elf_Data *data = elf_getdata(section, NULL);
	GElf_Sym symbol;

	if (!data || !header->sh_entsize)
		return;
	for (size_t i = 0; i < data->d_size / header->sh_entsize; i++)
		if (gelf_getsym(data, (int)i, &symbol))
			take_symbol(elf, header, &symbol, offsets);
}

/* Only what strip(1) leaves: the dynamic symbols. Returns whether all are there. */
static bool find_functions(int fd, uint64_t offsets[PROBES])
{
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	Elf_Scn *section = NULL;
	GElf_Shdr header, strings;

	memset(offsets, 0, PROBES * sizeof(offsets[0]));
	while (elf && (section = elf_nextscn(elf, section))) {
		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_DYNSYM ||
		    header.sh_size > SYMBOLS_MAX)
			continue;
		if (!gelf_getshdr(elf_getscn(elf, header.sh_link), &strings) ||
		    strings.sh_size > SYMBOLS_MAX)
			continue;
		read_symbols(elf, section, &header, offsets);
	}
	elf_end(elf);
	return offsets[0] && offsets[1];
}

/* ---- libraries ---- */

/*
 * An overlay has a device of its own, and containers of one image have one each
 * over the same file, which is what the kernel puts the probe on: there the
 * file is known by its inode and its last change.
 */
static int key_of(int fd, struct library_key *key, uint64_t *size)
{
	struct statfs fs;
	struct stat st;

	memset(key, 0, sizeof(*key));
	*size = 0;
	if (fstat(fd, &st) || fstatfs(fd, &fs))
		return -errno;
	*size = (uint64_t)st.st_size;
	key->inode = st.st_ino;
	if (fs.f_type == OVERLAYFS_SUPER_MAGIC)
		key->changed_ns =
			(uint64_t)st.st_ctim.tv_sec * 1000000000 + (uint64_t)st.st_ctim.tv_nsec;
	else
		key->device = st.st_dev;
	return 0;
}

static struct library *find_library(const struct handlers *handlers, const struct library_key *key)
{
	for (size_t i = 0; i < handlers->library_count; i++)
		if (!memcmp(&handlers->libraries[i]->key, key, sizeof(*key)))
			return handlers->libraries[i];
	return NULL;
}

static void detach(struct library *library)
{
	for (int i = 0; i < PROBES; i++) {
		bpf_link__destroy(library->links[i]);
		library->links[i] = NULL;
	}
}

/*
 * A probe holds the mount that it was put on by: a bind mount that is nobody's
 * else lets the file's own be unmounted. Not to be had of one in another mount
 * namespace, which ends with its processes and hinders nobody. Linux 5.2.
 */
static int private_mount(int fd)
{
	return (int)syscall(SYS_open_tree, fd, "", OPEN_TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH);
}

/*
 * Through our own descriptor: whatever becomes of its process, its name and its
 * mount namespace, it is the same file. Who was there before the probe on exit()
 * is not believed by the one on _Exit(): so it comes second.
 */
static int attach(struct handlers *handlers, struct library *library, int fd,
		  const uint64_t offsets[PROBES])
{
	const struct bpf_program *programs[PROBES] = { handlers->skel->progs.on_libc_exit,
						       handlers->skel->progs.on_libc__Exit };
	LIBBPF_OPTS(bpf_uprobe_opts, opts);
	char path[32];
	int err;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (int i = 0; i < PROBES; i++) {
		if (handlers->has_cookies)
			opts.bpf_cookie = boot_ns();
		library->links[i] =
			bpf_program__attach_uprobe_opts(programs[i], -1, path, offsets[i], &opts);
		if (library->links[i])
			continue;
		err = -errno;
		detach(library);
		return err;
	}
	return 0;
}

/* Why it is not covered; NULL: it is. */
static const char *cover(struct handlers *handlers, struct library *library, int fd, uint64_t size)
{
	uint64_t offsets[PROBES];
	int own, err;

	if (size > FILE_MAX)
		return "too large to be a C library";
	if (!find_functions(fd, offsets))
		return "no symbol exit or _Exit";
	own = private_mount(fd);
	err = attach(handlers, library, own < 0 ? fd : own, offsets);
	if (own >= 0)
		close(own);
	return err ? strerror(-err) : NULL;
}

static void tell_not_covered(struct handlers *handlers, const char *name, uint64_t pid,
			     const char *why)
{
	if (handlers->told == TOLD_MAX)
		return;
	log_warn("exit handlers: %s of process %" PRIu64 " is not covered: %s%s", name, pid, why,
		 ++handlers->told < TOLD_MAX ? "" : "; further ones are only counted");
}

static struct library *add_library(struct handlers *handlers, const struct library_key *key)
{
	struct library *library = NULL;

	if (handlers->library_count < LIBRARIES_MAX)
		library = calloc(1, sizeof(*library));
	if (!library && !handlers->full_told)
		log_warn("exit handlers: more than %d C libraries; the others are not covered",
			 LIBRARIES_MAX);
	handlers->full_told |= !library;
	if (!library)
		return NULL;
	library->key = *key;
	handlers->libraries[handlers->library_count++] = library;
	return library;
}

static struct library *take_library(struct handlers *handlers, int fd, const char *name,
				    uint64_t pid)
{
	struct library_key key;
	struct library *library;
	const char *why;
	uint64_t size;

	if (key_of(fd, &key, &size))
		return NULL;
	library = find_library(handlers, &key);
	if (library)
		return library;
	library = add_library(handlers, &key);
	if (!library)
		return NULL;
	why = cover(handlers, library, fd, size);
	if (why) {
		handlers->not_covered++;
		tell_not_covered(handlers, name, pid, why);
	} else {
		handlers->covered++;
	}
	return library;
}

/* The last one takes its place. */
static void drop_library(struct handlers *handlers, size_t i)
{
	struct library *library = handlers->libraries[i];

	if (library->links[0])
		handlers->covered--;
	else
		handlers->not_covered--;
	detach(library);
	free(library);
	handlers->libraries[i] = handlers->libraries[--handlers->library_count];
}

/* ---- programs ---- */

/* As the file is named that is mapped, not as links to it are. */
static bool is_libc(const char *name)
{
	static const char *const globs[] = { "libc.so*", "libc-[0-9]*.so*", "ld-musl-*.so*",
					     "libc.musl-*.so*", "libuClibc-*.so*" };

	for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++)
		if (!fnmatch(globs[i], name, 0))
			return true;
	return false;
}

/*
 * The first mapping of code of a C library, as in proc_pid_maps(5). Range is
 * what map_files names it by.
 */
static bool find_mapping(uint64_t pid, char range[64], char name[256])
{
	char path[64], line[4352], flags[8];
	bool found = false;
	FILE *maps;
	char *slash;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/maps", pid);
	maps = fopen(path, "re");
	while (maps && !found && fgets(line, sizeof(line), maps)) {
		slash = strchr(line, '/') ? strrchr(line, '/') : NULL;
		if (!slash || sscanf(line, "%63s %7s", range, flags) != 2 || flags[2] != 'x')
			continue;
		slash[strcspn(slash, " \n")] = '\0'; /* or " (deleted)" */
		snprintf(name, 256, "%s", slash + 1);
		found = is_libc(name);
	}
	if (maps)
		fclose(maps);
	return found;
}

/* Who has gone meanwhile needs no word; what map_files wants is the same for all. */
static void tell_cannot_open(struct handlers *handlers, const char *path, int err)
{
	if (err == ENOENT || err == ESRCH || handlers->open_told)
		return;
	handlers->open_told = true;
	log_warn("exit handlers: cannot open %s: %s", path, strerror(err));
}

/* Deleted or in another mount namespace: map_files reaches what is mapped. */
static struct library *look_at(struct handlers *handlers, uint64_t pid)
{
	struct library *library;
	char range[64], name[256], path[128];
	int fd;

	if (!find_mapping(pid, range, name))
		return NULL;
	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/map_files/%s", pid, range);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		tell_cannot_open(handlers, path, errno);
		return NULL;
	}
	library = take_library(handlers, fd, name, pid);
	close(fd);
	return library;
}

static void remember(struct handlers *handlers, const struct program_key *key,
		     struct library *library)
{
	struct program *program = calloc(1, sizeof(*program));

	if (!program)
		return; /* the next pass looks again */
	program->key = *key;
	program->library = library;
	program->pass = handlers->pass;
	HASH_ADD(hh, handlers->programs, key, sizeof(program->key), program);
	if (!program->hh.tbl)
		free(program);
}

static void forget_program(struct handlers *handlers, struct program *program)
{
	/* the analyzer takes one entry of a table for another */
	HASH_DEL(handlers->programs, program); // NOLINT(clang-analyzer-unix.Malloc)
	free(program);
}

/* ---- a pass ---- */

void handlers_pass_begin(struct handlers *handlers)
{
	handlers->pass++;
	handlers->passing = true;
	handlers->look_count = 0;
	handlers->looked = 0;
}

void handlers_visit(void *user, struct lt_id id, uint64_t exec_ns)
{
	struct handlers *handlers = user;
	struct program_key key = { id.pid, id.start_ns, exec_ns };
	struct program *program;

	HASH_FIND(hh, handlers->programs, &key, sizeof(key), program);
	if (program)
		program->pass = handlers->pass;
	else if (handlers->look_count < LOOKS_MAX)
		handlers->looks[handlers->look_count++] = key;
}

static void look_at_program(struct handlers *handlers, const struct program_key *key)
{
	struct library *library = look_at(handlers, key->pid);

	if (library || boot_ns() > key->exec_ns + SETTLED_NS)
		remember(handlers, key, library);
}

bool handlers_has_changed(struct handlers *handlers)
{
	bool changed = handlers->covered_told != handlers->covered ||
		       handlers->not_covered_told != handlers->not_covered ||
		       handlers->passed_told != handlers->passed;

	handlers->covered_told = handlers->covered;
	handlers->not_covered_told = handlers->not_covered;
	handlers->passed_told = handlers->passed;
	return changed;
}

/* Whose library was dropped must be told of again. */
static void forget_files(struct handlers *handlers)
{
	int fd = bpf_map__fd(handlers->skel->maps.lt_files_quiet);
	struct lt_files files;

	while (!bpf_map_get_next_key(fd, NULL, &files))
		if (bpf_map_delete_elem(fd, &files))
			break;
}

/* Programs that were not visited are gone, and so are libraries that none is left of. */
static void end_pass(struct handlers *handlers)
{
	struct program *program, *next;
	bool dropped = false;

	for (size_t i = 0; i < handlers->library_count; i++)
		handlers->libraries[i]->users = 0;
	HASH_ITER(hh, handlers->programs, program, next) {
		if (program->pass == handlers->pass) {
			if (program->library)
				program->library->users++;
			continue;
		}
		forget_program(handlers, program);
	}
	for (size_t i = handlers->library_count; i-- > 0;) {
		if (handlers->libraries[i]->users)
			continue;
		drop_library(handlers, i);
		dropped = true;
	}
	if (dropped)
		forget_files(handlers);
	handlers->passing = false;
	handlers->passed = true;
}

/* ---- who execs where no library is known yet ---- */

void handlers_note(struct handlers *handlers, const struct lt_new_files *record)
{
	if (handlers->noted < NOTES_MAX)
		handlers->notes[handlers->noted++] = *record;
}

/* Its library is known: nobody needs to tell of it until the next pass. */
static void quieten(struct handlers *handlers, const struct lt_files *files)
{
	uint64_t until_ns = boot_ns() + handlers->repair_interval_ns;

	bpf_map_update_elem(bpf_map__fd(handlers->skel->maps.lt_files_quiet), files, &until_ns,
			    BPF_ANY);
}

static void look_at_note(struct handlers *handlers, const struct lt_new_files *note)
{
	const struct program_key key = { note->id.pid, note->id.start_ns, note->hdr.time_ns };
	struct library *library = look_at(handlers, note->id.pid);

	if (!library)
		return;
	remember(handlers, &key, library);
	quieten(handlers, &note->files);
}

/* ---- slices ---- */

static bool is_busy(const struct handlers *handlers)
{
	return handlers->noted || handlers->passing;
}

static void look_once(struct handlers *handlers)
{
	struct lt_new_files note;

	if (handlers->noted) {
		note = handlers->notes[--handlers->noted];
		look_at_note(handlers, &note);
	} else if (handlers->looked < handlers->look_count) {
		look_at_program(handlers, &handlers->looks[handlers->looked++]);
	} else if (handlers->passing) {
		end_pass(handlers);
	}
}

bool handlers_look(struct handlers *handlers)
{
	uint64_t end_ns = boot_ns() + SLICE_NS;

	do
		look_once(handlers);
	while (is_busy(handlers) && boot_ns() < end_ns);
	return is_busy(handlers);
}

/* ---- opening and closing ---- */

void handlers_hook(const struct handlers *handlers, char hook[HANDLERS_HOOK_SIZE])
{
	int used = snprintf(hook, HANDLERS_HOOK_SIZE, "uprobe/exit%s (%u librar%s",
			    handlers->has_cookies ? "" : " without cookies", handlers->covered,
			    handlers->covered == 1 ? "y" : "ies");

	if (handlers->not_covered)
		used += snprintf(hook + used, HANDLERS_HOOK_SIZE - (size_t)used, ", %u not covered",
				 handlers->not_covered);
	snprintf(hook + used, HANDLERS_HOOK_SIZE - (size_t)used, "%s)",
		 handlers->passed ? "" : ", looking for more");
}

static int load(struct handlers *handlers, const struct handlers_options *options)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts,
		    .btf_custom_path = options->btf && *options->btf ? options->btf : NULL);
	struct handlers_bpf *skel = handlers_bpf__open_opts(&opts);
	int err;

	if (!skel)
		return -errno;
	handlers->skel = skel;
	skel->rodata->lt_wake_bytes = options->ring_bytes / 4;
	err = bpf_map__reuse_fd(skel->maps.lt_ring, options->ring_fd);
	if (!err)
		err = bpf_map__reuse_fd(skel->maps.lt_counters, options->counters_fd);
	if (!err)
		err = handlers_bpf__load(skel);
	if (!err)
		err = handlers_bpf__attach(skel); /* the exec; uprobes come with their libraries */
	return err;
}

static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= DESCRIPTORS_WANTED)
		return;
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int handlers_open(struct handlers **handlers, const struct handlers_options *options)
{
	struct handlers *h = calloc(1, sizeof(*h));
	int err;

	*handlers = NULL;
	if (!h)
		return -ENOMEM;
	h->looks = calloc(LOOKS_MAX, sizeof(*h->looks));
	if (!h->looks) {
		free(h);
		return -ENOMEM;
	}
	h->repair_interval_ns = options->repair_interval_ns;
	h->has_cookies = options->has_cookies;
	elf_version(EV_CURRENT);
	raise_descriptors();
	err = load(h, options);
	if (err) {
		handlers_close(h);
		return err;
	}
	*handlers = h;
	return 0;
}

void handlers_close(struct handlers *handlers)
{
	struct program *program, *next;

	if (!handlers)
		return;
	HASH_ITER(hh, handlers->programs, program, next)
		forget_program(handlers, program);
	while (handlers->library_count)
		drop_library(handlers, handlers->library_count - 1);
	handlers_bpf__destroy(handlers->skel);
	free(handlers->looks);
	free(handlers);
}
