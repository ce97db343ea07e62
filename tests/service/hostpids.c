/*
 * For a daemon in a container that has a pid namespace of its own, preloaded:
 * makes it believe that it is in the first one. Processes can be watched there
 * as anywhere; only what their pids would be looked up for is answered so that
 * nothing follows from it.
 */
#include <dlfcn.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int stat(const char *restrict path, struct stat *restrict buf)
{
	int (*real)(const char *, struct stat *) = dlsym(RTLD_NEXT, "stat");
	int err = real(path, buf);

	if (!err && !strcmp(path, "/proc/self/ns/pid"))
		buf->st_ino = 0xEFFFFFFCU;
	return err;
}

int kill(pid_t pid, int sig)
{
	int (*real)(pid_t, int) = dlsym(RTLD_NEXT, "kill");

	return sig ? real(pid, sig) : 0;
}
