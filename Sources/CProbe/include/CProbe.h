/* System calls as the kernel sees them, for the victim program: any number, any argument, any
 * ABI, and the kernel's own answer (a value, or minus errno). Addresses travel as integers so
 * that a probe can pass one that is deliberately wrong. */
#pragma once
#include <sys/syscall.h>

/* One call of the native ABI. */
long probe_call(long number, long a, long b, long c, long d, long e, long f);

/* One call of the i386 ABI by int $0x80; -ENOSYS where the machine is not x86-64. */
long probe_call_i386(long number, long a, long b, long c);

/* The marker that makes a native number an x32 one (arch/x86/include/uapi/asm/unistd.h). */
#define PROBE_X32_BIT 0x40000000

/* clone(2) whose child leaves at once with status 0. A stack is needed with CLONE_VM only; it is
 * the address past its end. The child touches no memory. */
long probe_clone(long flags, long stack);

/* vfork(2) whose child leaves at once with status 0. */
long probe_vfork(void);

/* fork(2); the caller has one thread. */
long probe_fork(void);

/* Starts up to `count` threads that live at the same time, ends them all, and returns how many
 * could be started, or minus errno when the first could not. */
long probe_threads(long count);

/* Interrupts whatever blocks after `seconds`, and every second from then on: the call fails with
 * EINTR. 0 ends it. */
void probe_deadline(long seconds);

/* Ignores a signal, or gives it its default action back. */
void probe_ignore(long signal, long ignore);

/* The n-th environment string, or null. */
const char *probe_environment(long index);

/* Calls that are newer than Debian 12's headers (6.1). */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_map_shadow_stack
#define SYS_map_shadow_stack 453
#endif
#ifndef SYS_futex_wake
#define SYS_futex_wake 454
#define SYS_futex_wait 455
#define SYS_futex_requeue 456
#endif
#ifndef SYS_statmount
#define SYS_statmount 457
#define SYS_listmount 458
#endif
#ifndef SYS_lsm_get_self_attr
#define SYS_lsm_get_self_attr 459
#define SYS_lsm_set_self_attr 460
#define SYS_lsm_list_modules 461
#endif
#ifndef SYS_setxattrat
#define SYS_setxattrat 463
#define SYS_getxattrat 464
#define SYS_listxattrat 465
#define SYS_removexattrat 466
#endif
#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif
#ifndef SYS_file_getattr
#define SYS_file_getattr 468
#define SYS_file_setattr 469
#endif

/* Calls that only x86-64 has. No kernel has a call of this number, so the answer is ENOSYS. */
#define PROBE_NO_CALL 0x3fffffff
#ifndef SYS_modify_ldt
#define SYS_modify_ldt PROBE_NO_CALL
#define SYS_ioperm PROBE_NO_CALL
#define SYS_iopl PROBE_NO_CALL
#define SYS_ustat PROBE_NO_CALL
#define SYS_sysfs PROBE_NO_CALL
#define SYS_uselib PROBE_NO_CALL
#define SYS_mknod PROBE_NO_CALL
#define SYS_chmod PROBE_NO_CALL
#define SYS_creat PROBE_NO_CALL
#define SYS_open PROBE_NO_CALL
#define SYS_fork PROBE_NO_CALL
#endif
