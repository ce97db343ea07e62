/* uring.h - a wait by io_uring: IORING_OP_WAITID, from kernel 6.7 on */
#ifndef CAST_URING_H
#define CAST_URING_H

#include "cast.h"

#include <linux/io_uring.h>
#include <sys/mman.h>

#define OP_WAITID 50 /* IORING_OP_WAITID */

static void *map_uring(int fd, size_t size, off_t what)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, what);

	if (memory == MAP_FAILED)
		fail("mmap of the io_uring");
	return memory;
}

/*
 * Asks a ring of its own for the end of PID, and waits for so many answers, 0 or
 * 1. Returns the ring's descriptor; -1 where there is no such wait, which it says.
 */
static int uring__waitid(pid_t pid, siginfo_t *info, unsigned answers)
{
	struct io_uring_params params = { .flags = 0 };
	int fd = syscall(SYS_io_uring_setup, 1, &params);
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	char *ring;

	if (fd < 0) {
		say("lacks", "io_uring: %s", strerrorname_np(errno));
		return -1;
	}
	ring = map_uring(fd, 4096, IORING_OFF_SQ_RING);
	sqe = map_uring(fd, 4096, IORING_OFF_SQES);
	*sqe = (struct io_uring_sqe){ .opcode = OP_WAITID,
				      .fd = pid,
				      .len = P_PID,
				      .addr2 = (uintptr_t)info,
				      .file_index = WEXITED };
	*(uint32_t *)(ring + params.sq_off.array) = 0;
	__atomic_store_n((uint32_t *)(ring + params.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, fd, 1, answers, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		fail("io_uring_enter");
	cqe = (struct io_uring_cqe *)(ring + params.cq_off.cqes);
	if (cqe->res >= 0) /* 0, too, while there is no answer */
		return fd;
	say("lacks", "IORING_OP_WAITID: %s", strerrorname_np(-cqe->res));
	close(fd);
	return -1;
}

#endif
