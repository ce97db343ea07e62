// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stacks that the kernel side copied, unwound here: by the unwind tables of the
 * programs themselves, as frame pointers do not get through a C library's fork.
 * Files are read as the process mapped them: another mount namespace, or a file
 * that was deleted since, makes no difference.
 */
#include "stacks.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "core/text.h"
#include "event.h"
#include "print.h"

#define FRAMES_MAX 64
#define OWN_TID 1 /* of the one thread that libdwfl is shown */

struct snapshot {
	uint64_t regs[LT_STACK_REGS];
	size_t reg_count;
	uint64_t begin;
	uint8_t *bytes;
	size_t len;
};

struct unwinding {
	Dwfl *dwfl;
	pid_t pid;
	struct snapshot now;
	uint64_t pcs[FRAMES_MAX];
	bool is_call[FRAMES_MAX]; /* the pc is after a call, not what is carried out next */
	size_t count;
	size_t first;	  /* of these, that came from the unwinder */
	bool missed;	  /* memory that a step out of the last frame asked for */
	const char *ends; /* why there is no outer frame; NULL: it is the outermost */
};

/* ---- the process's files ---- */

/* libdwfl's callback for this has no argument of ours. */
static pid_t reading;

/* The mapping that begins there, as a name in map_files: the file itself, whatever its path says. */
static int open_mapped(Dwarf_Addr base)
{
	char path[64], line[PATH_MAX + 128];
	uint64_t begin, end;
	int fd = -1;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", reading);
	maps = fopen(path, "re");
	while (maps && fd < 0 && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &begin, &end) != 2 || begin != base)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, reading,
			 begin, end);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		break;
	}
	if (maps)
		fclose(maps);
	return fd;
}

static int find_elf(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base,
		    char **file_name, Elf **elf)
{
	int fd = *name == '/' ? open_mapped(base) : -1;

	if (fd < 0)
		return dwfl_linux_proc_find_elf(module, user, name, base, file_name, elf);
	/* a separate debug file is looked for beside it */
	if (asprintf(file_name, "/proc/%d/root%s", reading, name) < 0)
		*file_name = NULL;
	return fd;
}

/* ---- unwinding ---- */

static bool get_thread(Dwfl *dwfl, pid_t tid, void *user, void **thread)
{
	(void)dwfl;
	*thread = user;
	return tid == OWN_TID;
}

static pid_t next_thread(Dwfl *dwfl, void *user, void **thread)
{
	(void)dwfl;
	if (*thread)
		return 0;
	*thread = user;
	return OWN_TID;
}

static bool is_x86(const struct snapshot *now)
{
	return now->reg_count == 17;
}

/*
 * arm64 signs return addresses in the bits from that of the highest address of
 * programs on up to the 54th (ptrauth_user_pac_mask()). Our own stack lies as
 * high as anybody's; of what is no address nothing is asked.
 */
static uint64_t without_signature(const struct snapshot *now, uint64_t word)
{
	uint64_t high = (uint64_t)__builtin_frame_address(0), all = UINT64_MAX;
	int bits = 64 - __builtin_clzll(high);

	return is_x86(now) ? word : word & ~(all << bits & all >> 9);
}

static bool read_word(const struct snapshot *now, uint64_t address, uint64_t *word)
{
	if (address < now->begin || now->len < sizeof(*word) ||
	    address - now->begin > now->len - sizeof(*word))
		return false;
	memcpy(word, now->bytes + (address - now->begin), sizeof(*word));
	*word = without_signature(now, *word);
	return true;
}

static bool memory_read(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *word, void *user)
{
	struct unwinding *unwinding = user;
	uint64_t value;

	(void)dwfl;
	unwinding->missed = !read_word(&unwinding->now, address, &value);
	if (unwinding->missed)
		return false;
	*word = value;
	return true;
}

static uint64_t *pc_of(struct snapshot *now)
{
	return &now->regs[now->reg_count - 1];
}

/* The pc is the last of x86-64's registers, and none of arm64's. */
static bool set_registers(Dwfl_Thread *thread, void *user)
{
	struct unwinding *unwinding = user;
	struct snapshot *now = &unwinding->now;

	dwfl_thread_state_register_pc(thread, *pc_of(now));
	return dwfl_thread_state_registers(thread, 0, (unsigned)now->reg_count - !is_x86(now),
					   (const Dwarf_Word *)now->regs);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = memory_read,
	.set_initial_registers = set_registers,
};

static int on_frame(Dwfl_Frame *frame, void *user)
{
	struct unwinding *unwinding = user;
	size_t at = unwinding->count;
	bool activation;
	Dwarf_Addr pc;

	if (at == FRAMES_MAX)
		return DWARF_CB_ABORT;
	unwinding->missed = false; /* the next line reads what the frame above this one needs */
	if (!dwfl_frame_pc(frame, &pc, &activation))
		return DWARF_CB_ABORT;
	unwinding->pcs[at] = pc;
	/* the first is not in a call, unless that of clone() was stepped out of */
	unwinding->is_call[at] = at == unwinding->first ? at > 0 : !activation;
	unwinding->count++;
	return DWARF_CB_OK;
}

static bool has_table(Dwfl *dwfl, uint64_t pc)
{
	Dwfl_Module *module = dwfl_addrmodule(dwfl, pc);
	Dwarf_CFI *tables[2];
	Dwarf_Frame *frame;
	Dwarf_Addr bias[2];

	if (!module)
		return false;
	tables[0] = dwfl_module_eh_cfi(module, &bias[0]);
	tables[1] = dwfl_module_dwarf_cfi(module, &bias[1]);
	for (int i = 0; i < 2; i++) {
		if (!tables[i] || dwarf_cfi_addrframe(tables[i], pc - bias[i], &frame))
			continue;
		free(frame);
		return true;
	}
	return false;
}

/*
 * clone() and clone3() end their tables before the system call, as in the child
 * they would be wrong: there the return address is where the stack pointer is
 * (arm64: in x30). Elsewhere that can be any word, so it must be one of code.
 */
static bool step_out_of_clone(struct unwinding *unwinding)
{
	struct snapshot *now = &unwinding->now;
	uint64_t pc = now->regs[30];

	if (is_x86(now)) {
		unwinding->missed = !read_word(now, now->regs[7], &pc);
		now->regs[7] += sizeof(uint64_t);
	}
	if (unwinding->missed || !has_table(unwinding->dwfl, pc - 1))
		return false;
	*pc_of(now) = pc;
	return true;
}

/* The outermost frame is one that says so itself, or has 0 above it. */
static const char *end_of(const struct unwinding *unwinding, int err)
{
	if (unwinding->missed)
		return unwinding->now.len ? "the rest of the stack was not copied" :
					    "the stack could not be read";
	if (unwinding->count == FRAMES_MAX)
		return "too many frames";
	return err ? "no unwind table" : NULL;
}

static void unwind(struct unwinding *unwinding)
{
	uint64_t pc = *pc_of(&unwinding->now);
	int err = 0;

	unwinding->count = 0;
	unwinding->missed = false;
	if (!has_table(unwinding->dwfl, pc)) {
		unwinding->is_call[0] = false;
		unwinding->pcs[unwinding->count++] = pc;
		err = !step_out_of_clone(unwinding);
	}
	unwinding->first = unwinding->count;
	if (!err)
		err = dwfl_getthread_frames(unwinding->dwfl, OWN_TID, on_frame, unwinding);
	unwinding->ends = end_of(unwinding, err);
}

/* ---- frames ---- */

static json_t *build_id_of(Dwfl_Module *module)
{
	const unsigned char *bits;
	GElf_Addr at;
	int len = dwfl_module_build_id(module, &bits, &at);
	char text[129] = "";

	for (int i = 0; i < len && i < 64; i++)
		sprintf(text + i * 2, "%02x", bits[i]);
	return *text ? json_string(text) : json_null();
}

static void set_source(json_t *frame, Dwfl_Module *module, Dwarf_Addr address)
{
	Dwfl_Line *line = dwfl_module_getsrc(module, address);
	const char *file = NULL;
	int number = 0;

	if (line)
		file = dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL);
	json_object_set_new(frame, "file", file ? text_json(file, strlen(file)) : json_null());
	json_object_set_new(frame, "line", file ? json_integer(number) : json_null());
}

/* What is not known is null; a module that cannot be read says so. */
static json_t *frame_of(Dwfl *dwfl, uint64_t pc, bool is_call)
{
	Dwarf_Addr address = pc - is_call, base = 0;
	Dwfl_Module *module = dwfl_addrmodule(dwfl, address);
	const char *function = NULL, *file = NULL;
	json_t *frame = json_object();
	GElf_Off offset;
	GElf_Sym symbol;
	char text[32];

	snprintf(text, sizeof(text), "0x%" PRIx64, pc);
	json_object_set_new(frame, "address", json_string(text));
	if (!module) {
		json_object_set_new(frame, "note", json_string("in no file"));
		return frame;
	}
	file = dwfl_module_info(module, NULL, &base, NULL, NULL, NULL, NULL, NULL);
	function = dwfl_module_addrinfo(module, address, &offset, &symbol, NULL, NULL, NULL);
	json_object_set_new(frame, "function",
			    function ? text_json(function, strlen(function)) : json_null());
	set_source(frame, module, address);
	json_object_set_new(frame, "module", file ? text_json(file, strlen(file)) : json_null());
	json_object_set_new(frame, "offset", json_integer((json_int_t)(address - base)));
	json_object_set_new(frame, "build_id", build_id_of(module));
	if (!function)
		json_object_set_new(frame, "note",
				    json_string(dwfl_module_getelf(module, &base) ?
							"no symbol: separate debug file missing?" :
							"its file cannot be read"));
	return frame;
}

static json_t *frames_of(const struct unwinding *unwinding)
{
	json_t *frames = json_array();

	for (size_t i = 0; i < unwinding->count; i++)
		json_array_append_new(frames, frame_of(unwinding->dwfl, unwinding->pcs[i],
						       unwinding->is_call[i]));
	return frames;
}

/* ---- what the daemon sent ---- */

static uint8_t *unhex(const char *text, size_t *len)
{
	size_t count = text ? strlen(text) / 2 : 0;
	uint8_t *bytes = malloc(count + 1);
	unsigned byte;

	*len = 0;
	while (bytes && *len < count && sscanf(text + *len * 2, "%2x", &byte) == 1)
		bytes[(*len)++] = (uint8_t)byte;
	return bytes;
}

static const char *string_at(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name)) ?: "";
}

static bool read_snapshot(struct snapshot *now, const json_t *stack)
{
	size_t len;
	uint8_t *regs = unhex(string_at(stack, "regs"), &len);
	bool known = regs && (len == 17 * sizeof(uint64_t) || len == 33 * sizeof(uint64_t));

	*now = (struct snapshot){ .reg_count = len / sizeof(uint64_t) };
	if (known)
		memcpy(now->regs, regs, len);
	for (size_t i = 0; known && i < now->reg_count; i++)
		now->regs[i] = without_signature(now, now->regs[i]);
	free(regs);
	now->begin = strtoull(string_at(stack, "begin"), NULL, 16);
	now->bytes = unhex(string_at(stack, "bytes"), &now->len);
	return known && now->bytes;
}

/* ---- groups ---- */

/* A call is known by its line; by its address where that has none. */
static json_t *key_of(const json_t *frame)
{
	const json_t *line = json_object_get(frame, "line");

	if (!json_is_integer(line))
		return json_incref(json_object_get(frame, "address"));
	return json_pack("[O,O,O]", json_object_get(frame, "function"),
			 json_object_get(frame, "file"), line);
}

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

/* Those of the same calls are one. */
static void add_to_groups(json_t *groups, const struct unwinding *unwinding, json_t *id)
{
	json_t *frames = frames_of(unwinding), *keys = json_array(), *group;
	char *key;
	size_t i;

	for (i = 0; i < json_array_size(frames); i++)
		json_array_append_new(keys, key_of(json_array_get(frames, i)));
	json_array_append_new(keys, text_or_null(unwinding->ends));
	key = json_dumps(keys, JSON_COMPACT);
	group = key ? json_object_get(groups, key) : NULL;
	if (key && !group) {
		group = json_pack("{s:[],s:O,s:o}", "ids", "frames", frames, "incomplete",
				  text_or_null(unwinding->ends));
		json_object_set_new(groups, key, group);
	}
	json_array_append(json_object_get(group, "ids"), id);
	free(key);
	json_decref(keys);
	json_decref(frames);
}

/* The ids of the stacks that are told, as members of an object. */
static json_t *ids_of(const json_t *stacks)
{
	json_t *ids = json_object();
	const json_t *stack;
	size_t i;

	json_array_foreach(stacks, i, stack)
		if (!json_is_true(json_object_get(stack, "before_exec")))
			json_object_set_new(ids, string_at(stack, "id"), json_true());
	return ids;
}

/* How many of the group's are among these. */
static int count_of(const json_t *group, const json_t *told)
{
	const json_t *id;
	int count = 0;
	size_t i;

	json_array_foreach(json_object_get(group, "ids"), i, id)
		count += json_object_get(told, json_string_value(id)) != NULL;
	return count;
}

json_t *stacks_still_told(const json_t *groups, const json_t *stacks)
{
	json_t *sorted = json_array(), *told = ids_of(stacks), *group, *shown;
	const char *key;
	size_t at;

	json_object_foreach((json_t *)groups, key, group) {
		int zombies = count_of(group, told);

		if (!zombies)
			continue;
		for (at = 0; at < json_array_size(sorted); at++)
			if (number(json_array_get(sorted, at), "zombies") < (uint64_t)zombies)
				break;
		shown = json_pack("{s:i,s:O,s:O}", "zombies", zombies, "frames",
				  json_object_get(group, "frames"), "incomplete",
				  json_object_get(group, "incomplete"));
		json_array_insert_new(sorted, at, shown);
	}
	json_decref(told);
	return sorted;
}

/* ---- one parent ---- */

/* proc_pid_stat(5), field 22: a pid can be another's by now. */
static bool is_there(pid_t pid, const char *id)
{
	char path[32], stat[1024] = "", *p;
	uint64_t ticks = 0, tick_ns = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	const char *start = strchr(id, '-');
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	p = fgets(stat, sizeof(stat), file) ? strrchr(stat, ')') : NULL;
	fclose(file);
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (p)
		ticks = strtoull(p + 1, NULL, 10);
	return p && start && ticks == strtoull(start + 1, NULL, 10) / tick_ns;
}

static Dwfl *open_process(pid_t pid, char path[PATH_MAX])
{
	static char *debuginfo_path;
	static const Dwfl_Callbacks callbacks = {
		.find_elf = find_elf,
		.find_debuginfo = dwfl_standard_find_debuginfo,
		.debuginfo_path = &debuginfo_path,
	};
	Dwfl *dwfl;

	snprintf(path, PATH_MAX, ":.debug:/usr/lib/debug:/proc/%d/root/usr/lib/debug", pid);
	debuginfo_path = path;
	reading = pid;
	dwfl = dwfl_begin(&callbacks);
	if (dwfl && !dwfl_linux_proc_report(dwfl, pid) && !dwfl_report_end(dwfl, NULL, NULL))
		return dwfl;
	dwfl_end(dwfl);
	return NULL;
}

static bool is_of(const json_t *stack, const char *id)
{
	return !strcmp(string_at(stack, "parent_id"), id) &&
	       !json_is_true(json_object_get(stack, "before_exec"));
}

static void unwind_all(struct unwinding *unwinding, const json_t *stacks, const char *id,
		       json_t *groups)
{
	const json_t *stack;
	size_t i;

	json_array_foreach(stacks, i, stack) {
		if (!is_of(stack, id))
			continue;
		if (read_snapshot(&unwinding->now, stack)) {
			unwind(unwinding);
			add_to_groups(groups, unwinding, json_object_get(stack, "id"));
		}
		free(unwinding->now.bytes);
	}
}

json_t *stacks_of_parent(const json_t *stacks, const json_t *leak)
{
	const char *id = string_at(leak, "parent_id");
	struct unwinding unwinding = { .pid = (pid_t)number(leak, "pid") };
	char path[PATH_MAX];
	json_t *groups = json_object();

	unwinding.dwfl = is_there(unwinding.pid, id) ? open_process(unwinding.pid, path) : NULL;
	if (!unwinding.dwfl)
		complain("process %d is gone, or cannot be read: no stacks of it", unwinding.pid);
	else if (!dwfl_attach_state(unwinding.dwfl, NULL, unwinding.pid, &thread_callbacks,
				    &unwinding))
		complain("cannot unwind stacks of process %d: %s", unwinding.pid, dwfl_errmsg(-1));
	else
		unwind_all(&unwinding, stacks, id, groups);
	if (unwinding.dwfl)
		dwfl_end(unwinding.dwfl);
	if (json_object_size(groups) && !is_there(unwinding.pid, id)) {
		complain("process %d ended meanwhile: no stacks of it", unwinding.pid);
		json_object_clear(groups);
	}
	return groups;
}

/* ---- as text ---- */

/* A note on a file is told once: noted holds those that were. */
static void print_note(const json_t *frame, json_t *noted)
{
	char note[CELL_SIZE], build_id[CELL_SIZE], words[2 * CELL_SIZE + 32];

	if (!json_is_string(json_object_get(frame, "note")))
		return;
	snprintf(words, sizeof(words), "%s; build-id %s", member(frame, "note", note),
		 member(frame, "build_id", build_id));
	if (!json_object_get(noted, words))
		printf(" (%s)", words);
	json_object_set_new(noted, words, json_true());
}

/* A function that calls itself is one line, with how many times it is there. */
static void print_frame(const json_t *frame, size_t times, json_t *noted)
{
	char function[CELL_SIZE], file[CELL_SIZE], module[CELL_SIZE];

	printf("      %s", member(frame, "function", function));
	if (json_is_string(json_object_get(frame, "file")))
		printf(" %s:%" PRIu64, member(frame, "file", file), number(frame, "line"));
	else
		printf(" %s+0x%" PRIx64, member(frame, "module", module), number(frame, "offset"));
	if (times > 1)
		printf(", %zu times", times);
	print_note(frame, noted);
	putchar('\n');
}

static bool are_same_calls(const json_t *a, const json_t *b)
{
	json_t *keys[] = { key_of(a), key_of(b) };
	bool same = json_equal(keys[0], keys[1]);

	json_decref(keys[0]);
	json_decref(keys[1]);
	return same;
}

static void print_frames(const json_t *frames, json_t *noted)
{
	size_t count = json_array_size(frames), next;

	for (size_t i = 0; i < count; i = next) {
		const json_t *frame = json_array_get(frames, i);

		for (next = i + 1; next < count; next++)
			if (!are_same_calls(frame, json_array_get(frames, next)))
				break;
		print_frame(frame, next - i, noted);
	}
}

void print_stacks(const json_t *leak)
{
	const json_t *groups = json_object_get(leak, "stacks"), *group;
	uint64_t zombies = number(leak, "zombies"), told = 0;
	json_t *noted = json_object();
	char comm[CELL_SIZE];
	size_t i;

	printf("\n%" PRIu64 " %s\n", number(leak, "pid"), member(leak, "comm", comm));
	json_array_foreach(groups, i, group) {
		printf("  %" PRIu64 " zombie%s forked by\n", number(group, "zombies"),
		       number(group, "zombies") == 1 ? "" : "s");
		told += number(group, "zombies");
		print_frames(json_object_get(group, "frames"), noted);
		if (json_is_string(json_object_get(group, "incomplete")))
			printf("      … (%s)\n", member(group, "incomplete", comm));
	}
	if (zombies > told)
		printf("  %" PRIu64 " without a stack: forked before any was taken or before an "
		       "exec, or too many\n",
		       zombies - told);
	json_decref(noted);
}
