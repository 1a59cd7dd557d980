#define _GNU_SOURCE 1
#include "include/CLinux.h"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

/* No libc in here: the child shares the parent's memory and its thread-local storage. */
static int wait_to_be_killed(void *parent) {
  // A launcher that is killed meanwhile would leave this process behind for ever.
  if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
      syscall(SYS_getppid) != (long)(intptr_t)parent)
    syscall(SYS_exit, 1);
  for (;;) syscall(SYS_pause);
}

int agt_user_namespace_holder(void) {
  static char stack[16384] __attribute__((aligned(16)));
  return clone(wait_to_be_killed, stack + sizeof stack, CLONE_VM | CLONE_NEWUSER | SIGCHLD,
               (void *)(intptr_t)getpid());
}

extern char __executable_start, etext;

int agt_release_memory(void) {
  malloc_trim(0);
  uintptr_t first = (uintptr_t)&__executable_start, last = (uintptr_t)&etext & ~(uintptr_t)4095;
  return madvise((void *)first, last - first, MADV_DONTNEED);
}

int agt_processors(int pid, unsigned char *allowed, int count) {
  cpu_set_t set;
  if (sched_getaffinity(pid, sizeof set, &set) != 0) return -1;
  for (int number = 0; number < count; number++) allowed[number] = CPU_ISSET((size_t)number, &set) != 0;
  return 0;
}

int agt_use_processors(int pid, const unsigned char *allowed, int count) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int number = 0; number < count; number++)
    if (allowed[number] != 0) CPU_SET((size_t)number, &set);
  return sched_setaffinity(pid, sizeof set, &set);
}

void agt_use_other_processor(int pid) {
  cpu_set_t both, other;
  if (sched_getaffinity(pid, sizeof both, &both) != 0 || CPU_COUNT(&both) != 2) return;
  // What it executes would keep these two when the machine gets more: it gets no mask, unless it had one.
  if (get_nprocs() != 2) return;
  int here = sched_getcpu();
  if (here < 0) return;
  other = both;
  CPU_CLR((size_t)here, &other);
  if (sched_setaffinity(pid, sizeof other, &other) != 0) return;
  memset(&both, 0xff, sizeof both);
  (void)sched_setaffinity(pid, sizeof both, &both);
}
