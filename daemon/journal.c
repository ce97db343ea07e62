// SPDX-License-Identifier: GPL-2.0-only
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "event.h"

#define HALF_MIN (4U << 20)

/* The beginning of a half. A reader sees size bytes of records, whenever the writer died. */
struct half {
	_Atomic uint64_t sequence; /* of the two the higher one counts; 0: neither */
	_Atomic uint64_t size;
	char records[];
};

struct journal {
	int fds[2];
	struct half *halves[2];
	size_t mapped[2];
	int current;   /* the half that counts */
	int writing;   /* the half that is appended to */
	size_t size;   /* of that, private: the file's is only written */
	size_t before; /* that of the current one, while the other is begun */
};

/* ---- the two files ---- */

/* Of what has this name, so that two have not the same: as a file name, with an end. */
static int half_path(char path[PATH_MAX], const char *dir, const char *name, int which)
{
	int at = snprintf(path, PATH_MAX, "%s/", dir);
	int len = snprintf(path + at, at < PATH_MAX ? (size_t)(PATH_MAX - at) : 0, "%s.%d",
			   name + strspn(name, "/"), which);

	if (at + len >= PATH_MAX)
		return -ENAMETOOLONG;
	for (char *p = path + at; *p; p++)
		*p = *p == '/' ? '-' : *p;
	return 0;
}

/* Made with those above it. */
/* What others could have written is not believed. */
static int check_file(int fd, size_t *size)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1 ||
	    st.st_mode & (S_IRWXG | S_IRWXO))
		return -EPERM;
	*size = (size_t)st.st_size;
	return 0;
}

/* All of it is there from the beginning: a file system that is full is told of now. */
static int resize_half(struct journal *journal, int which, size_t bytes)
{
	int fd = journal->fds[which];
	void *memory;

	if (posix_fallocate(fd, 0, (off_t)bytes) || ftruncate(fd, (off_t)bytes))
		return -ENOSPC;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	if (journal->halves[which])
		munmap(journal->halves[which], journal->mapped[which]);
	journal->halves[which] = memory;
	journal->mapped[which] = bytes;
	return 0;
}

static int open_half(struct journal *journal, const char *dir, const char *name, int which)
{
	char path[PATH_MAX];
	size_t size = 0;
	int err = half_path(path, dir, name, which), *fd = &journal->fds[which];

	if (err)
		return err;
	*fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*fd < 0)
		return -errno;
	err = check_file(*fd, &size);
	return err ? err : resize_half(journal, which, size > HALF_MIN ? size : HALF_MIN);
}

int journal_open(struct journal **journal, const char *dir, const char *name)
{
	struct journal *j = calloc(1, sizeof(*j));
	int err;

	*journal = NULL;
	if (!j)
		return -ENOMEM;
	j->fds[0] = j->fds[1] = -1;
	err = directory_make(dir, 0700);
	for (int i = 0; !err && i < 2; i++)
		err = open_half(j, dir, name, i);
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
	for (int i = 0; i < 2; i++) {
		if (journal->halves[i])
			munmap(journal->halves[i], journal->mapped[i]);
		if (journal->fds[i] >= 0)
			close(journal->fds[i]);
	}
	free(journal);
}

void journal_remove(const char *dir, const char *name)
{
	char path[PATH_MAX];

	for (int i = 0; i < 2; i++)
		if (!half_path(path, dir, name, i))
			unlink(path);
	rmdir(dir); /* if it was the last */
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

void journal_begin(struct journal *journal, size_t bytes)
{
	int next = !journal->current;
	size_t need = bytes > HALF_MIN ? bytes : HALF_MIN;

	journal->halves[next]->sequence = 0;
	journal->halves[next]->size = 0;
	if (journal->mapped[next] < need || journal->mapped[next] / 8 > need)
		resize_half(journal, next, need);
	journal->before = journal->size;
	journal->writing = next;
	journal->size = 0;
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
