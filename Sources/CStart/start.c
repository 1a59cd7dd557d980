// How the two commands of a launch begin.
//
// The start of a static program in the GNU C library executes CPUID some eighty times, to choose among its
// string functions and to learn the sizes of the caches. In a virtual machine each CPUID ends in the
// hypervisor: 7.8 µs here, 0.6 ms for each of agt-run and agt-stage, a tenth of a launch (docs/decisions/0005).
// Nothing in a launch copies so much that another memcpy(3) would give that back.
//
// So this file stands in the place of libc-start.o of libc.a: it does what csu/libc-start.c of version 2.36 does
// for a static program, in the same order, and asks the processor nothing. What chooses by the processor's
// features then finds none and takes what every x86-64 processor has. It is for that version alone: with any
// other, nothing is defined here and the library's own start is taken. A name that the library no longer had
// would be an error of the linker; CommandTests.StartTests looks at what must be so when main() begins.
//
// Constructors see an environment of our own instead of the caller's. Swift's runtime would look in it for settings,
// and in a dozen places around the executable for a program that tells of crashes: none of that shall be
// anybody's to choose, and looking costs a hundredth of a launch as well.
//
// What must never be: a call of a string function, or a stack guard, before both are set up; a guard that is
// not random; work with AT_SECURE (setuid) that the library's own start would refuse.

#include <features.h>

#if defined(__x86_64__) && defined(__GLIBC__) && __GLIBC__ == 2 && __GLIBC_MINOR__ == 36

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef int Main(int, char **, char **);
typedef void Initializer(int, char **, char **);
typedef void Finalizer(void);

// The library's own variables and functions (csu/libc-start.c, elf/dl-support.c, include/libc-internal.h).
extern char **__environ;
extern void *__libc_stack_end;
extern int __libc_enable_secure;
extern void *_dl_random;
extern size_t _dl_minsigstacksize;
void _dl_aux_init(Elf64_auxv_t *);
void __tunables_init(char **);
void _dl_relocate_static_pie(void);
void __libc_setup_tls(void);
void __libc_early_init(bool);
void __libc_init_first(int, char **, char **);
void __libc_check_standard_fds(void);
int __cxa_atexit(void (*)(void *), void *, void *);
_Noreturn void __libc_fatal(const char *);
void *_dl_debug_initialize(Elf64_Addr, long);
void _init(void);
void _fini(void);

// What the linker provides.
extern const Elf64_Rela __rela_iplt_start[] __attribute__((weak, visibility("hidden")));
extern const Elf64_Rela __rela_iplt_end[] __attribute__((weak, visibility("hidden")));
extern Initializer *__preinit_array_start[] __attribute__((visibility("hidden")));
extern Initializer *__preinit_array_end[] __attribute__((visibility("hidden")));
extern Initializer *__init_array_start[] __attribute__((visibility("hidden")));
extern Initializer *__init_array_end[] __attribute__((visibility("hidden")));
extern Finalizer *__fini_array_start[] __attribute__((visibility("hidden")));
extern Finalizer *__fini_array_end[] __attribute__((visibility("hidden")));

// What the string functions read (sysdeps/x86/cacheinfo.h), with the values that it gives to a processor that
// does not say how large its caches are, but for the first: from how many bytes on a copy goes past the caches.
// The library would take three quarters of a shared cache of 1 MiB.
long __x86_shared_non_temporal_threshold = 1024 * 1024 * 3 / 4;
long __x86_data_cache_size_half = 32 * 1024 / 2;
long __x86_data_cache_size = 32 * 1024;
long __x86_shared_cache_size_half = 1024 * 1024 / 2;
long __x86_shared_cache_size = 1024 * 1024;
long __x86_rep_movsb_threshold = 2048;
long __x86_rep_stosb_threshold = 2048;
long __x86_rep_movsb_stop_threshold = 1024 * 1024 * 3 / 4;
int __x86_string_control = 0;

// With more, constructors see the caller's environment.
enum { ARGUMENTS_MAX = 2048 };

static char quiet[] = "SWIFT_BACKTRACE=enable=no,swift-backtrace=/";

static void finish(void *unused) {
  (void)unused;
  for (size_t i = (size_t)(__fini_array_end - __fini_array_start); i > 0; i--) __fini_array_start[i - 1]();
  _fini();
}

static void initialize(int argc, char **argv, char **environment) {
  for (Initializer **each = __preinit_array_start; each < __preinit_array_end; each++)
    (*each)(argc, argv, environment);
  _init();
  for (Initializer **each = __init_array_start; each < __init_array_end; each++)
    (*each)(argc, argv, environment);
}

// Chooses each function of which the library has several (R_X86_64_IRELATIVE, the x86-64 psABI).
static inline __attribute__((always_inline)) void choose(void) {
  for (const Elf64_Rela *each = __rela_iplt_start; each < __rela_iplt_end; each++) {
    if (ELF64_R_TYPE(each->r_info) != R_X86_64_IRELATIVE)
      __libc_fatal("agt: unexpected relocation in a static program\n");
    *(Elf64_Addr *)each->r_offset = ((Elf64_Addr(*)(void))each->r_addend)();
  }
}

// crt1.o calls it in the place of the library's. Differs from that in one thing more: the main thread cannot
// end alone by pthread_exit(3), which neither command calls.
__attribute__((noreturn, no_stack_protector)) int __libc_start_main(
    Main *program, int argc, char **argv, Initializer *initializer, Finalizer *finalizer,
    void (*unload)(void *), void *stack_end) {
  (void)initializer;
  (void)finalizer;
  char **environment = &argv[argc + 1];
  __environ = environment;
  __libc_stack_end = stack_end;
  char **end = environment;
  while (*end) end++;
  _dl_aux_init((Elf64_auxv_t *)(end + 1));
  __tunables_init(environment);
  // Before Linux 5.14 the kernel does not say how much it writes at a signal; 3,584 bytes are enough for AVX-512.
  if (_dl_minsigstacksize == 0) _dl_minsigstacksize = 3584;

  _dl_relocate_static_pie();
  choose();
  __libc_setup_tls();

  // The guards of the stack and of stored pointers, from AT_RANDOM, where the compiler and the library look
  // for them; the first byte of the stack's is 0, so that no text runs over it.
  uintptr_t guard = ((const uintptr_t *)_dl_random)[0] & ~(uintptr_t)0xff;
  uintptr_t pointers = ((const uintptr_t *)_dl_random)[1];
  __asm__ volatile("movq %0, %%fs:0x28" : : "r"(guard));
  __asm__ volatile("movq %0, %%fs:0x30" : : "r"(pointers));

  if (unload) __cxa_atexit(unload, NULL, NULL);
  __libc_early_init(true);
  __libc_init_first(argc, argv, __environ);
  __cxa_atexit(finish, NULL, NULL);
  if (__libc_enable_secure) __libc_check_standard_fds();
  // As the kernel lays vectors out: the runtime finds the arguments before the environment, and keeps them.
  // On the stack, where it looks for the end of them; that may be hardly larger than very many arguments.
  size_t count = argc > ARGUMENTS_MAX ? 0 : (size_t)argc;
  char *vectors[count + 4];
  if (argc <= ARGUMENTS_MAX) {
    vectors[0] = (char *)(intptr_t)argc;
    for (size_t index = 0; index <= count; index++) vectors[1 + index] = argv[index];
    vectors[count + 2] = quiet;
    vectors[count + 3] = NULL;
    __environ = &vectors[count + 2];
    initialize(argc, &vectors[1], __environ);
    __environ = environment;
  } else {
    initialize(argc, argv, environment);
  }
  _dl_debug_initialize(0, 0);
  exit(program(argc, argv, __environ));
}

#endif
