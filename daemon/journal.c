// SPDX-License-Identifier: GPL-2.0-only
#include "journal.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "event.h"

#define PAGE 4096U /* of the maps, as values of one are */
#define HALF_MIN (4U << 20)

/* The beginning of a half. A reader sees size bytes of records, whenever the writer died. */
struct half {
	_Atomic uint64_t sequence; /* of the two the higher one counts; 0: neither */
	_Atomic uint64_t size;
	char records[];
};

struct journal {
	struct pins *pins;
	struct half *halves[2];
	size_t mapped[2];
	int current;   /* the half that counts */
	int writing;   /* the half that is appended to */
	size_t size;   /* of that, private: the map's is only written */
	size_t before; /* that of the current one, while the other is begun */
};

static const char *const names[] = { "journal_0", "journal_1" };

/* ---- the two maps ---- */

static int map_half(struct journal *journal, int which, int fd)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	void *memory;
	size_t size;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != PAGE)
		return -EPROTO;
	size = (size_t)info.max_entries * PAGE;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	if (journal->halves[which])
		munmap(journal->halves[which], journal->mapped[which]);
	journal->halves[which] = memory;
	journal->mapped[which] = size;
	return 0;
}

static int make_half(struct journal *journal, int which, size_t bytes)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	uint32_t pages = (uint32_t)((bytes + PAGE - 1) / PAGE);
	int fd =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, "lt_journal", sizeof(__u32), PAGE, pages, &opts);
	int err;

	if (fd < 0)
		return fd;
	err = pins_put_map(journal->pins, names[which], fd);
	if (!err)
		err = map_half(journal, which, fd);
	close(fd);
	return err;
}

static int open_half(struct journal *journal, int which)
{
	int fd = pins_get_map(journal->pins, names[which]), err;

	if (fd < 0)
		return make_half(journal, which, HALF_MIN);
	err = map_half(journal, which, fd);
	close(fd);
	return err == -EPROTO ? make_half(journal, which, HALF_MIN) : err;
}

int journal_open(struct journal **journal, struct pins *pins)
{
	struct journal *j = calloc(1, sizeof(*j));
	int err = j ? 0 : -ENOMEM;

	*journal = NULL;
	if (!j)
		return err;
	j->pins = pins;
	for (int i = 0; !err && i < 2; i++)
		err = open_half(j, i);
	if (err || !j->halves[0] || !j->halves[1]) {
		journal_close(j);
		return err;
	}
	j->current = j->writing = j->halves[1]->sequence > j->halves[0]->sequence;
	j->size = j->halves[j->current]->size;
	*journal = j;
	return 0;
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	for (int i = 0; i < 2; i++)
		if (journal->halves[i])
			munmap(journal->halves[i], journal->mapped[i]);
	free(journal);
}

/* ---- reading ---- */

static size_t room(const struct journal *journal, int which)
{
	return journal->mapped[which] - sizeof(struct half);
}

size_t journal_replay(const struct journal *journal, record_fn fn, void *user)
{
	const struct half *half = journal->halves[journal->current];
	size_t at = 0, size = half->sequence ? half->size : 0, count = 0;

	if (size > room(journal, journal->current))
		return 0;
	while (size - at >= sizeof(struct lt_hdr)) {
		const struct lt_hdr *hdr = (const void *)(half->records + at);

		if (hdr->size < sizeof(*hdr) || hdr->size > size - at || hdr->size % LT_ALIGN)
			break;
		fn(user, hdr, hdr->size);
		at += hdr->size;
		count++;
	}
	return count;
}

/* ---- writing ---- */

bool journal_append(struct journal *journal, const void *record, size_t len)
{
	struct half *half = journal->halves[journal->writing];

	if (len > room(journal, journal->writing) - journal->size)
		return false;
	memcpy(half->records + journal->size, record, len);
	journal->size += len;
	atomic_store_explicit(&half->size, journal->size, memory_order_release);
	return true;
}

int journal_begin(struct journal *journal, size_t bytes)
{
	int next = !journal->current, err = 0;
	size_t need = bytes > HALF_MIN ? bytes : HALF_MIN;

	if (journal->mapped[next] < need || journal->mapped[next] / 8 > need)
		err = make_half(journal, next, need);
	if (err && !journal->halves[next])
		return err;
	journal->halves[next]->sequence = 0;
	journal->halves[next]->size = 0;
	journal->before = journal->size;
	journal->writing = next;
	journal->size = 0;
	return 0;
}

void journal_commit(struct journal *journal)
{
	journal->halves[journal->writing]->sequence =
		journal->halves[journal->current]->sequence + 1;
	journal->current = journal->writing;
}

void journal_cancel(struct journal *journal)
{
	journal->writing = journal->current;
	journal->size = journal->before;
}

size_t journal_size(const struct journal *journal)
{
	return journal->size;
}

size_t journal_room(const struct journal *journal)
{
	return room(journal, journal->writing);
}

void journal_void(struct journal *journal)
{
	for (int i = 0; i < 2; i++)
		journal->halves[i]->sequence = 0;
}
