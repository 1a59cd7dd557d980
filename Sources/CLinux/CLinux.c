#define _GNU_SOURCE 1
#include "include/CLinux.h"

#include <malloc.h>
#include <sys/mman.h>

/* No libc in here: the child shares the parent's memory and its thread-local storage. The parent may be
   killed at any moment, and its own death signal is not inherited (prctl(2)): an orphan would stay for
   ever and keep the caller's pipes open. */
static int wait_to_be_killed(void *parent) {
  syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  while (syscall(SYS_getppid) == (long)(intptr_t)parent) syscall(SYS_pause);
  return 0;
}

int agt_user_namespace_holder(void) {
  static char stack[16384] __attribute__((aligned(16)));
  void *parent = (void *)(intptr_t)getpid();
  return clone(wait_to_be_killed, stack + sizeof stack, CLONE_VM | CLONE_NEWUSER | SIGCHLD, parent);
}

extern char __executable_start, etext;

int agt_release_memory(void) {
  malloc_trim(0);
  uintptr_t first = (uintptr_t)&__executable_start, last = (uintptr_t)&etext & ~(uintptr_t)4095;
  return madvise((void *)first, last - first, MADV_DONTNEED);
}
