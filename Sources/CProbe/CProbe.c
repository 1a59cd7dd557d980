#include "CProbe.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include <unistd.h>

extern char **environ;

long probe_call(long number, long a, long b, long c, long d, long e, long f) {
  long result = syscall(number, a, b, c, d, e, f);
  return result == -1 ? -errno : result;
}

#if defined(__x86_64__)

long probe_call_i386(long number, long a, long b, long c) {
  long result;
  /* The kernel clears r8 to r11 on this entry. */
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(number), "b"(a), "c"(b), "d"(c)
                   : "memory", "r8", "r9", "r10", "r11");
  return (long)(int)result;
}

long probe_clone(long flags, long stack) {
  long result;
  register long child_tid __asm__("r10") = 0;
  register long tls __asm__("r8") = 0;
  __asm__ volatile("syscall\n\t"
                   "test %%rax, %%rax\n\t"
                   "jnz 1f\n\t"
                   "xor %%edi, %%edi\n\t"
                   "mov $60, %%eax\n\t" /* exit */
                   "syscall\n\t"
                   "ud2\n"
                   "1:"
                   : "=a"(result), "+D"(flags)
                   : "0"((long)SYS_clone), "S"(stack), "d"(0L), "r"(child_tid), "r"(tls)
                   : "memory", "rcx", "r11");
  return result;
}

long probe_vfork(void) {
  long result;
  __asm__ volatile("syscall\n\t"
                   "test %%rax, %%rax\n\t"
                   "jnz 1f\n\t"
                   "xor %%edi, %%edi\n\t"
                   "mov $60, %%eax\n\t" /* exit */
                   "syscall\n\t"
                   "ud2\n"
                   "1:"
                   : "=a"(result)
                   : "0"((long)SYS_vfork)
                   : "memory", "rcx", "rdi", "r11");
  return result;
}

#else

long probe_call_i386(long number, long a, long b, long c) {
  (void)number, (void)a, (void)b, (void)c;
  return -ENOSYS;
}

long probe_clone(long flags, long stack) {
  (void)flags, (void)stack;
  return -ENOSYS;
}

long probe_vfork(void) { return -ENOSYS; }

#endif

long probe_fork(void) {
  long result = fork();
  return result == -1 ? -errno : result;
}

static void *wait_for_end(void *pipe_end) {
  char byte;
  ssize_t got;
  do {
    got = read((int)(long)pipe_end, &byte, 1);
  } while (got == -1 && errno == EINTR);
  return NULL;
}

/* Bounds the array below; far above the limit that any profile sets for a test. */
#define MOST_THREADS 1024

long probe_threads(long count) {
  static pthread_t threads[MOST_THREADS];
  int ends[2];
  long started = 0;
  int failure = 0;
  pthread_attr_t attributes;
  if (count > MOST_THREADS) count = MOST_THREADS;
  if (pipe(ends) != 0) return -errno;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  while (started < count && failure == 0) {
    failure = pthread_create(&threads[started], &attributes, wait_for_end, (void *)(long)ends[0]);
    if (failure == 0) started++;
  }
  close(ends[1]);
  for (long index = 0; index < started; index++) pthread_join(threads[index], NULL);
  close(ends[0]);
  pthread_attr_destroy(&attributes);
  return started == 0 ? -failure : started;
}

static void interrupt_only(int signal) { (void)signal; }

void probe_deadline(long seconds) {
  struct sigaction action = {.sa_handler = interrupt_only};
  struct itimerval timer = {.it_value.tv_sec = seconds, .it_interval.tv_sec = seconds > 0};
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &timer, NULL);
}

void probe_ignore(long number, long ignore) {
  signal((int)number, ignore ? SIG_IGN : SIG_DFL);
}

const char *probe_environment(long index) {
  for (long position = 0; environ != NULL && environ[position] != NULL; position++) {
    if (position == index) return environ[position];
  }
  return NULL;
}
