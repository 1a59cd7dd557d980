// A static program that begins as agt-run and agt-stage do (Sources/CStart) and looks at what must be so then.
//
//   start-check WORD      says each thing that is not so, then the guards, and ends with the number of wrongs

#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

extern char **environ;

static int wrongs;
static int countAtConstruction;
static char **argumentsAtConstruction;
static char *wordAtConstruction;
static _Thread_local int own = 42;

#define EXPECT(condition) \
  do { \
    if (!(condition)) { \
      wrongs++; \
      printf("line %d: not so: %s\n", __LINE__, #condition); \
    } \
  } while (0)

__attribute__((constructor)) static void construct(int count, char **arguments, char **environment) {
  countAtConstruction = count;
  argumentsAtConstruction = arguments;
  wordAtConstruction = environment == environ ? getenv("START_CHECK") : "another environment";
}

__attribute__((destructor)) static void destroy(void) {
  puts("destroyed");
  fflush(stdout);
}

static void leave(void) { puts("left"); }

static void *otherThread(void *argument) {
  EXPECT(own == 42);
  own = 7;
  errno = EXDEV;
  return argument;
}

static volatile sig_atomic_t handled;
static char *volatile handledAt;
static void handle(int number) {
  char here;
  handled = number;
  handledAt = &here;
}

// Not inlined and not recognized as the library's functions.
static int isEqual(volatile const unsigned char *one, volatile const unsigned char *other, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (one[i] != other[i]) return 0;
  return 1;
}

static void fill(volatile unsigned char *bytes, size_t count) {
  for (size_t i = 0; i < count; i++) bytes[i] = (unsigned char)(i * 31 + (i >> 8) * 7 + 1);
}

static void copyAndCompare(size_t count, size_t shift) {
  unsigned char *source = malloc(count + shift + 64);
  unsigned char *target = malloc(count + shift + 64);
  unsigned char *expected = malloc(count + shift + 64);
  EXPECT(source && target && expected);
  fill(source, count + shift + 64);
  memset(target, 0xee, count + shift + 64);
  memcpy(target + shift, source, count);
  EXPECT(isEqual(target + shift, source, count));
  EXPECT(target[shift + count] == 0xee && (shift == 0 || target[shift - 1] == 0xee));
  EXPECT(memcmp(target + shift, source, count) == 0);
  // Overlapping, in both directions.
  fill(target, count + shift);
  fill(expected, count + shift);
  memmove(target + shift, target, count);
  EXPECT(isEqual(target + shift, expected, count));
  fill(target, count + shift);
  memmove(target, target + shift, count);
  EXPECT(isEqual(target, expected + shift, count));
  memset(target, 'x', count);
  target[count] = 0;
  EXPECT(strlen((char *)target) == count);
  EXPECT(memchr(target, 0, count + 1) == target + count);
  EXPECT(strchr((char *)target, 'y') == NULL);
  free(source);
  free(target);
  free(expected);
}

int main(int count, char **arguments, char **environment) {
  EXPECT(count == countAtConstruction && argumentsAtConstruction[count] == NULL);
  for (int index = 0; index < count; index++) EXPECT(arguments[index] == argumentsAtConstruction[index]);
  EXPECT(environment == environ && arguments[count] == NULL);
  // Those of a constructor are not the caller's.
  EXPECT(wordAtConstruction == NULL);
  EXPECT(count == 2 && strcmp(arguments[1], "WORD") == 0);
  EXPECT(getenv("START_CHECK") && strcmp(getenv("START_CHECK"), "yes") == 0);
  EXPECT(getauxval(AT_PAGESZ) == 4096 && getauxval(AT_RANDOM) != 0);
  for (int number = 0; number <= 2; number++) EXPECT(fcntl(number, F_GETFD) >= 0);

  // Each size that some function treats in another way, up to those that go past the caches.
  for (size_t size = 0; size < 300; size++) copyAndCompare(size, size % 17);
  for (size_t size = 512; size <= (4u << 20); size *= 2) {
    copyAndCompare(size - 1, 3);
    copyAndCompare(size + 5, 0);
    copyAndCompare(size, 4096);
  }

  pthread_t thread;
  errno = 0;
  EXPECT(own == 42);
  EXPECT(pthread_create(&thread, NULL, otherThread, &thread) == 0);
  void *result = NULL;
  EXPECT(pthread_join(thread, &result) == 0 && result == &thread);
  EXPECT(own == 42 && errno == 0);

  // A signal on a stack of the size that the library names.
  long size = sysconf(_SC_MINSIGSTKSZ);
  EXPECT(size >= 2048 && size < (1 << 20));
  size_t room = (size_t)size + 4096;
  char *place = malloc(room);
  stack_t stack = {.ss_sp = place, .ss_size = room};
  struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
  EXPECT(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
  EXPECT(raise(SIGUSR1) == 0 && handled == SIGUSR1 && handledAt >= place && handledAt < place + room);

  char text[64];
  snprintf(text, sizeof text, "%.3f %s", strtod("1.25e2", NULL), "é");
  EXPECT(strcmp(text, "125.000 é") == 0);
  EXPECT(isalpha('q') && !isalpha('1') && toupper('q') == 'Q');
  EXPECT(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
  EXPECT(atexit(leave) == 0);

  uintptr_t guard, pointers;
  __asm__("movq %%fs:0x28, %0" : "=r"(guard));
  __asm__("movq %%fs:0x30, %0" : "=r"(pointers));
  EXPECT((guard & 0xff) == 0 && guard != 0 && pointers != 0);
  printf("guards %016lx %016lx\n", (unsigned long)guard, (unsigned long)pointers);
  return wrongs > 99 ? 99 : wrongs;
}
