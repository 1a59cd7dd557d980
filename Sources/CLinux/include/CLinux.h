/* What Glibc's module map lacks: single system calls, structures newer than Debian's headers,
 * and constants that are macros. No logic and no allocation. Each wrapper returns what the
 * kernel returned, -1 with errno on failure, as syscall(2) does. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* ---- errno, for code that must not depend on how Glibc imports the macro ---- */
static inline int agt_errno(void) { return errno; }

/* ---- files: open(2) family ---- */
struct agt_open_how { uint64_t flags, mode, resolve; };
#define AGT_RESOLVE_NO_XDEV 0x01u
#define AGT_RESOLVE_NO_MAGICLINKS 0x02u
#define AGT_RESOLVE_NO_SYMLINKS 0x04u
#define AGT_RESOLVE_BENEATH 0x08u
#define AGT_RESOLVE_IN_ROOT 0x10u
static inline int agt_openat2(int dir, const char *path, struct agt_open_how how) {
  return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}
static inline int agt_openat(int dir, const char *path, int flags, uint32_t mode) {
  return openat(dir, path, flags, mode);
}
static inline int agt_pipe(int *both) { return (int)syscall(SYS_pipe2, both, O_CLOEXEC); }
static inline int agt_close_range(unsigned first, unsigned last, unsigned flags) {
  return (int)syscall(SYS_close_range, first, last, flags);
}
static inline int agt_memfd_create(const char *name, unsigned flags) {
  return (int)syscall(SYS_memfd_create, name, flags);
}
#define AGT_MFD_CLOEXEC 0x1u
#define AGT_MFD_ALLOW_SEALING 0x2u
#define AGT_MFD_NOEXEC_SEAL 0x8u
/* F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE */
#define AGT_ALL_SEALS 0xf
static inline int agt_seal(int fd) {
  return fcntl(fd, 1033 /* F_ADD_SEALS */, AGT_ALL_SEALS);
}
static inline int agt_seals(int fd) { return fcntl(fd, 1034 /* F_GET_SEALS */); }
static inline int agt_dup3(int fd, int copy) { return (int)syscall(SYS_dup3, fd, copy, 0); }
static inline int agt_fcntl(int fd, int command, int value) { return fcntl(fd, command, value); }
static inline int agt_faccessat(int dir, const char *path, int mode, int flags) {
  return faccessat(dir, path, mode, flags);
}
static inline int agt_flock(int fd, int operation) {
  return (int)syscall(SYS_flock, fd, operation);
}

/* ---- trees of files: xattr(7), fchmodat(2), utimensat(2), copy_file_range(2), syncfs(2) ---- */
static inline int agt_syncfs(int fd) { return (int)syscall(SYS_syncfs, fd); }
static inline int agt_fsync(int fd) { return fsync(fd); }
/* FALLOC_FL_KEEP_SIZE: blocks are set aside, the length stays. */
static inline int agt_reserve(int fd, int64_t offset, int64_t length) {
  return (int)syscall(SYS_fallocate, fd, 1, offset, length);
}
/* eventfd(2), EFD_CLOEXEC | EFD_NONBLOCK */
static inline int agt_eventfd(void) { return (int)syscall(SYS_eventfd2, 0, 02000000 | 04000); }
static inline long agt_getdents64(int directory, void *buffer, unsigned int size) {
  return syscall(SYS_getdents64, directory, buffer, size);
}
static inline int agt_mknodat(int dir, const char *path, uint32_t mode) { return mknodat(dir, path, mode, 0); }
static inline int agt_fchmodat(int dir, const char *path, uint32_t mode) {
  return fchmodat(dir, path, mode, AT_SYMLINK_NOFOLLOW);
}
static inline int agt_fchownat(int dir, const char *path, uint32_t uid, uint32_t gid) {
  return fchownat(dir, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}
static inline int agt_utimensat(int dir, const char *path, int64_t access, int64_t modification) {
  struct timespec times[2] = {{access / 1000000000, access % 1000000000},
                              {modification / 1000000000, modification % 1000000000}};
  for (int i = 0; i < 2; i++)
    if (times[i].tv_nsec < 0) { times[i].tv_nsec += 1000000000; times[i].tv_sec--; }
  return utimensat(dir, path, times, AT_SYMLINK_NOFOLLOW);
}
/* futimens(3): of the open file itself. */
static inline int agt_futimens(int fd, int64_t nanoseconds) {
  struct timespec time = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  if (time.tv_nsec < 0) { time.tv_nsec += 1000000000; time.tv_sec--; }
  struct timespec times[2] = {time, time};
  return futimens(fd, times);
}
static inline ssize_t agt_copy_file_range(int from, int64_t *from_offset, int to, int64_t *to_offset, size_t count) {
  return syscall(SYS_copy_file_range, from, from_offset, to, to_offset, count, 0);
}
static inline int64_t agt_seek_data(int fd, int64_t offset) { return lseek(fd, offset, 3 /* SEEK_DATA */); }
static inline int64_t agt_seek_hole(int fd, int64_t offset) { return lseek(fd, offset, 4 /* SEEK_HOLE */); }
static inline ssize_t agt_lgetxattr(const char *path, const char *name, void *value, size_t size) {
  return syscall(SYS_lgetxattr, path, name, value, size);
}
static inline ssize_t agt_llistxattr(const char *path, char *list, size_t size) {
  return syscall(SYS_llistxattr, path, list, size);
}
static inline int agt_lsetxattr(const char *path, const char *name, const void *value, size_t size) {
  return (int)syscall(SYS_lsetxattr, path, name, value, size, 0);
}
static inline int agt_lremovexattr(const char *path, const char *name) {
  return (int)syscall(SYS_lremovexattr, path, name);
}
static inline int64_t agt_file_system_type(int fd) {
  struct statfs status;
  return fstatfs(fd, &status) == 0 ? (int64_t)status.f_type : -1;
}
static inline int agt_setfsuid(unsigned uid) { return (int)syscall(SYS_setfsuid, uid); }
static inline int agt_setfsgid(unsigned gid) { return (int)syscall(SYS_setfsgid, gid); }

/* ---- mounts: fsopen(2), move_mount(2), mount_setattr(2) ---- */
#define AGT_OPEN_TREE_CLONE 1u
#define AGT_OPEN_TREE_CLOEXEC 0x80000u
#define AGT_AT_RECURSIVE 0x8000u
#define AGT_AT_EMPTY_PATH 0x1000u
#define AGT_AT_NO_AUTOMOUNT 0x800u
#define AGT_MOVE_MOUNT_F_EMPTY_PATH 0x4u
#define AGT_MOVE_MOUNT_T_EMPTY_PATH 0x40u
#define AGT_FSOPEN_CLOEXEC 1u
#define AGT_FSMOUNT_CLOEXEC 1u
#define AGT_FSCONFIG_SET_FLAG 0u
#define AGT_FSCONFIG_SET_STRING 1u
#define AGT_FSCONFIG_CMD_CREATE 6u
#define AGT_MOUNT_ATTR_RDONLY 0x1ull
#define AGT_MOUNT_ATTR_NOSUID 0x2ull
#define AGT_MOUNT_ATTR_NODEV 0x4ull
#define AGT_MOUNT_ATTR_NOEXEC 0x8ull
#define AGT_MOUNT_ATTR_IDMAP 0x100000ull
#define AGT_MS_PRIVATE (1ull << 18)
struct agt_mount_attr { uint64_t attr_set, attr_clr, propagation, userns_fd; };
static inline int agt_open_tree(int dir, const char *path, unsigned flags) {
  return (int)syscall(428, dir, path, flags);
}
static inline int agt_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags) {
  return (int)syscall(429, from, from_path, to, to_path, flags);
}
static inline int agt_fsopen(const char *type, unsigned flags) { return (int)syscall(430, type, flags); }
static inline int agt_fsconfig(int fd, unsigned command, const char *key, const char *value) {
  return (int)syscall(431, fd, command, key, value, 0);
}
static inline int agt_fsmount(int fd, unsigned flags, unsigned attributes) {
  return (int)syscall(432, fd, flags, attributes);
}
static inline int agt_mount_setattr(int dir, const char *path, unsigned flags, struct agt_mount_attr attr) {
  return (int)syscall(442, dir, path, flags, &attr, sizeof attr);
}
static inline int agt_pivot_root(const char *new_root, const char *put_old) {
  return (int)syscall(SYS_pivot_root, new_root, put_old);
}
static inline int agt_umount2(const char *path, int flags) { return (int)syscall(SYS_umount2, path, flags); }

/* ---- processes and namespaces: clone(2), unshare(2), pidfd_open(2) ---- */
struct agt_clone_args {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
      cgroup;
};
#define AGT_CLONE_NEWTIME 0x80ull
#define AGT_CLONE_PIDFD 0x1000ull
#define AGT_CLONE_PARENT 0x8000ull
#define AGT_CLONE_NEWNS 0x20000ull
#define AGT_CLONE_NEWCGROUP 0x2000000ull
#define AGT_CLONE_NEWUTS 0x4000000ull
#define AGT_CLONE_NEWIPC 0x8000000ull
#define AGT_CLONE_NEWUSER 0x10000000ull
#define AGT_CLONE_NEWPID 0x20000000ull
#define AGT_CLONE_NEWNET 0x40000000ull
#define AGT_CLONE_INTO_CGROUP 0x200000000ull
static inline int agt_clone3(uint64_t flags, int cgroup, int exit_signal) {
  struct agt_clone_args args = {.flags = flags, .exit_signal = (uint64_t)exit_signal, .cgroup = (uint64_t)cgroup};
  return (int)syscall(SYS_clone3, &args, sizeof args);
}
/* clone(2) without a stack, as fork(2): for outer containers that know no clone3(2). */
static inline int agt_clone(uint64_t flags, int exit_signal) {
#ifdef __s390x__
  return (int)syscall(SYS_clone, 0, flags | (uint64_t)exit_signal, 0, 0, 0);
#else
  return (int)syscall(SYS_clone, flags | (uint64_t)exit_signal, 0, 0, 0, 0);
#endif
}
static inline int agt_unshare(uint64_t flags) { return (int)syscall(SYS_unshare, flags); }
static inline int agt_setns(int fd, int type) { return (int)syscall(SYS_setns, fd, type); }
static inline int agt_pidfd_open(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
static inline int agt_pidfd_send_signal(int pidfd, int sig) {
  return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}
static inline int agt_pidfd_getfd(int pidfd, int fd) { return (int)syscall(438, pidfd, fd, 0); }
static inline int agt_waitid_pidfd(int pidfd, siginfo_t *info, int options, struct rusage *usage) {
  return (int)syscall(SYS_waitid, 3 /* P_PIDFD */, pidfd, info, options, usage);
}
static inline int agt_si_pid(const siginfo_t *info) { return info->si_pid; }
static inline int agt_si_status(const siginfo_t *info) { return info->si_status; }
/* getrlimit(2), with the resource as a number: glibc's enum differs between language modes. */
static inline int agt_getrlimit(unsigned resource, struct rlimit *limit) {
  return (int)syscall(SYS_prlimit64, 0, resource, NULL, limit);
}
static inline int agt_setrlimit(unsigned resource, uint64_t value) {
  struct rlimit limit = {value, value};
  return (int)syscall(SYS_prlimit64, 0, resource, &limit, NULL);
}
/* Which of the first `count` processors, 1,024 at most, a process may use, or is to use: a byte for each that is not 0
 * (sched_setaffinity(2)). With 0 the calling thread. */
int agt_processors(int pid, unsigned char *allowed, int count);
int agt_use_processors(int pid, const unsigned char *allowed, int count);
/* Moves another process away from this processor to the other of two that it may use, and lets it
 * use both again at once (sched_setaffinity(2)). With more or fewer it stays where it is. */
void agt_use_other_processor(int pid);
/* sched_setscheduler(2): SCHED_FIFO at its lowest priority, SCHED_BATCH or SCHED_OTHER. */
static inline int agt_schedule(int pid, int policy) {
  struct sched_param priority = {.sched_priority = policy == SCHED_FIFO ? 1 : 0};
  return (int)syscall(SYS_sched_setscheduler, pid, policy, &priority);
}
/* Of the calling thread, unless it has another policy than `from`. Returns whether it changed. */
static inline int agt_change_policy(int from, int to) {
  return syscall(SYS_sched_getscheduler, 0) == from && agt_schedule(0, to) == 0;
}
static inline int agt_kill(int pid, int sig) { return kill(pid, sig); }
static inline int agt_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  return (int)syscall(SYS_prctl, option, a, b, c, d);
}
static inline long agt_keyctl_join_session(void) { return syscall(SYS_keyctl, 1, NULL, 0, 0, 0); }
static inline int agt_execve(const char *path, char *const *argv, char *const *envp) {
  return execve(path, argv, envp);
}

/* A process that shares our memory and only waits to be killed, in a new user namespace, so that the
 * caller can write its maps and keep the namespace by descriptor. The child runs on a stack of its own
 * and makes raw system calls only. Defined in CLinux.c. */
int agt_user_namespace_holder(void);

/* ---- identity: credentials(7), capabilities(7) ---- */
static inline int agt_setresuid(unsigned r, unsigned e, unsigned s) {
  return (int)syscall(SYS_setresuid, r, e, s);
}
static inline int agt_setresgid(unsigned r, unsigned e, unsigned s) {
  return (int)syscall(SYS_setresgid, r, e, s);
}
static inline int agt_setgroups_empty(void) { return (int)syscall(SYS_setgroups, 0, NULL); }
static inline int agt_getgroups_count(void) { return (int)syscall(SYS_getgroups, 0, NULL); }
struct agt_capability_header { uint32_t version; int pid; };
struct agt_capability_data { uint32_t effective, permitted, inheritable; };

/* ---- landlock(7), structures up to ABI 7 ---- */
struct agt_landlock_ruleset { uint64_t handled_access_fs, handled_access_net, scoped; };
struct agt_landlock_path { uint64_t allowed_access; int32_t parent_fd; } __attribute__((packed));
static inline int agt_landlock_abi(void) { return (int)syscall(444, NULL, 0, 1); }
static inline int agt_landlock_create(struct agt_landlock_ruleset ruleset, size_t size) {
  return (int)syscall(444, &ruleset, size, 0);
}
static inline int agt_landlock_add_path(int ruleset, uint64_t access, int parent) {
  struct agt_landlock_path rule = {access, parent};
  return (int)syscall(445, ruleset, 1, &rule, 0);
}
static inline int agt_landlock_restrict(int ruleset, unsigned flags) {
  return (int)syscall(446, ruleset, flags);
}

/* ---- seccomp(2), seccomp_unotify(2) ---- */
static inline int agt_seccomp_set_filter(unsigned flags, const void *filter, unsigned short count) {
  struct sock_fprog program = {count, (struct sock_filter *)filter};
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}
#define AGT_SECCOMP_FLAG_NEW_LISTENER 8u
#define AGT_SECCOMP_FLAG_WAIT_KILLABLE_RECV 32u
static inline int agt_seccomp_receive(int fd, struct seccomp_notif *notification) {
  memset(notification, 0, sizeof *notification);
  return ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, notification);
}
static inline int agt_seccomp_respond(int fd, uint64_t id, int error) {
  struct seccomp_notif_resp response = {.id = id, .val = 0, .error = -error, .flags = 0};
  return ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
}
static inline int agt_seccomp_valid(int fd, uint64_t id) {
  return ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id);
}

/* ---- sockets: unix(7), cmsg(3) ---- */
/* Sends one message with at most `count` descriptors (0 … 8). */
static inline ssize_t agt_send_message(int socket, const void *bytes, size_t length, const int *fds, int count) {
  union { struct cmsghdr header; char space[CMSG_SPACE(8 * sizeof(int))]; } control;
  memset(&control, 0, sizeof control);
  struct iovec part = {(void *)bytes, length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, (size_t)count * sizeof(int));
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL);
}
/* Bytes that the other end of a Unix stream has not taken, with the kernel's own share; 0 when there are none
 * (unix(7), SIOCOUTQ). */
static inline int agt_untaken_bytes(int socket) {
  int count = 0;
  return ioctl(socket, SIOCOUTQ, &count) == 0 ? count : -1;
}

/* Bytes that can be read at once, or -1 (pipe(7), FIONREAD). */
static inline int agt_waiting_bytes(int fd) {
  int count = 0;
  return ioctl(fd, FIONREAD, &count) == 0 ? count : -1;
}
/* Receives one message and up to 8 descriptors (close-on-exec); *count says how many came. A message
 * that was cut gives EMSGSIZE. */
static inline ssize_t agt_receive_message(int socket, void *bytes, size_t capacity, int *fds, int *count, int flags) {
  union { struct cmsghdr header; char space[CMSG_SPACE(8 * sizeof(int))]; } control;
  struct iovec part = {bytes, capacity};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                           .msg_controllen = sizeof control};
  *count = 0;
  ssize_t length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
  if (length < 0) return length;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
      *count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      memcpy(fds, CMSG_DATA(header), (size_t)*count * sizeof(int));
    }
  if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
    for (int i = 0; i < *count; i++) close(fds[i]);
    *count = 0;
    errno = EMSGSIZE;
    return -1;
  }
  return length;
}

/* A path of at most 107 bytes: bind(2) when `listening`, else connect(2). */
static inline int agt_unix_address(int socket, const char *path, int listening) {
  struct sockaddr_un address;
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  if (strlen(path) >= sizeof address.sun_path) { errno = ENAMETOOLONG; return -1; }
  strcpy(address.sun_path, path);
  const struct sockaddr *name = (const struct sockaddr *)&address;
  return listening ? bind(socket, name, sizeof address) : connect(socket, name, sizeof address);
}
/* connect(2) to an address of at most 108 bytes; one that begins with NUL is abstract (unix(7)). */
static inline int agt_unix_connect(int socket, const void *name, size_t length) {
  struct sockaddr_un address;
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  if (length > sizeof address.sun_path) { errno = ENAMETOOLONG; return -1; }
  memcpy(address.sun_path, name, length);
  return connect(socket, (const struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
}
struct agt_peer { int32_t pid; uint32_t uid, gid; };
static inline int agt_peer_credentials(int socket, struct agt_peer *peer) {
  socklen_t length = sizeof *peer;
  return getsockopt(socket, SOL_SOCKET, 17 /* SO_PEERCRED */, peer, &length);
}
/* Linux 6.5. */
static inline int agt_peer_pidfd(int socket) {
  int pidfd = -1;
  socklen_t length = sizeof pidfd;
  int result = getsockopt(socket, SOL_SOCKET, 77 /* SO_PEERPIDFD */, &pidfd, &length);
  return result == 0 ? pidfd : result;
}

/* ---- terminals: ioctl_tty(2), pts(4) ---- */
static inline int agt_window_size_get(int fd, unsigned short *rows, unsigned short *columns) {
  struct winsize size;
  int result = ioctl(fd, TIOCGWINSZ, &size);
  if (result == 0) { *rows = size.ws_row; *columns = size.ws_col; }
  return result;
}
static inline int agt_window_size_set(int fd, unsigned short rows, unsigned short columns) {
  struct winsize size = {rows, columns, 0, 0};
  return ioctl(fd, TIOCSWINSZ, &size);
}
static inline long agt_terminal_device(int fd) {
  unsigned int device;
  return ioctl(fd, TIOCGDEV, &device) == 0 ? (long)device : -1;
}
static inline int agt_set_controlling_terminal(int fd) { return ioctl(fd, TIOCSCTTY, 0); }
static inline int agt_unlock_pty(int fd) { int zero = 0; return ioctl(fd, TIOCSPTLCK, &zero); }
static inline int agt_pty_peer(int fd) { return ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC); }

/* ---- network: netdevice(7) ---- */
static inline int agt_network_namespace(int socket) { return ioctl(socket, SIOCGSKNS); }
static inline int agt_interface_up(int socket, const char *name) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(socket, SIOCGIFFLAGS, &request) != 0) return -1;
  request.ifr_flags |= IFF_UP;
  return ioctl(socket, SIOCSIFFLAGS, &request);
}

/* ---- TCP and UDP: ip(7), ipv6(7), splice(2); addresses as the bytes of a sockaddr ---- */
static inline int agt_socket(int family, int type, int protocol) {
  return socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
}
static inline int agt_bind(int fd, const void *address, unsigned length) {
  return bind(fd, (const struct sockaddr *)address, length);
}
static inline int agt_connect(int fd, const void *address, unsigned length) {
  return connect(fd, (const struct sockaddr *)address, length);
}
static inline int agt_accept(int fd) { return (int)syscall(SYS_accept4, fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); }
static inline int agt_local_address(int fd, void *address, unsigned *length) {
  return getsockname(fd, (struct sockaddr *)address, length);
}
static inline int agt_set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value);
}
/* TCP_CONGESTION (tcp(7)). */
static inline int agt_set_congestion_control(int fd, const char *name, size_t length) {
  return setsockopt(fd, 6, 13, name, (socklen_t)length);
}
static inline int agt_get_option(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, level, name, &value, &length) == 0 ? value : -1;
}
/* close(2) then sends a reset instead of an end (socket(7), SO_LINGER). */
static inline int agt_linger_none(int fd) {
  struct linger now = {1, 0};
  return setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}
static inline int agt_linger_default(int fd) {
  struct linger none = {0, 0};
  return setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}
static inline ssize_t agt_send_to(int fd, const void *bytes, size_t count, const void *address, unsigned length) {
  return sendto(fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)address, length);
}
static inline ssize_t agt_receive_from(int fd, void *bytes, size_t count, void *address, unsigned *length) {
  return recvfrom(fd, bytes, count, MSG_DONTWAIT, (struct sockaddr *)address, length);
}
/* The smoothed round trip of a connection in microseconds (tcp(7), TCP_INFO); -1 when it is not known. */
static inline int agt_round_trip(int fd) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  return getsockopt(fd, 6, TCP_INFO, &info, &length) == 0 ? (int)info.tcpi_rtt : -1;
}
/* SPLICE_F_MOVE | SPLICE_F_NONBLOCK */
static inline ssize_t agt_splice(int from, int to, size_t count) {
  return (ssize_t)syscall(SYS_splice, from, NULL, to, NULL, count, 3);
}
static inline int agt_pipe_size(int fd, int bytes) { return fcntl(fd, 1031 /* F_SETPIPE_SZ */, bytes); }
/* getrlimit(2): only the soft limit changes. */
static inline int agt_set_soft_limit(unsigned resource, uint64_t value) {
  struct rlimit limit;
  if (syscall(SYS_prlimit64, 0, resource, NULL, &limit) != 0) return -1;
  limit.rlim_cur = value < limit.rlim_max ? value : limit.rlim_max;
  return (int)syscall(SYS_prlimit64, 0, resource, &limit, NULL);
}

/* Gives back the pages of our own code and of the heap that a launch has touched and waiting does not
 * need; code comes back by page faults. Defined in CLinux.c. */
int agt_release_memory(void);

/* ---- numbers of the calls that PID 1 of a ring makes: syscalls(2) ---- */
enum agt_system_call {
  AGT_SYS_read = SYS_read,
  AGT_SYS_close = SYS_close,
  AGT_SYS_sendmsg = SYS_sendmsg,
  AGT_SYS_recvmsg = SYS_recvmsg,
  AGT_SYS_epoll_create1 = SYS_epoll_create1,
  AGT_SYS_epoll_ctl = SYS_epoll_ctl,
  AGT_SYS_epoll_pwait = SYS_epoll_pwait,
  AGT_SYS_wait4 = SYS_wait4,
  AGT_SYS_kill = SYS_kill,
  AGT_SYS_getpid = SYS_getpid,
  AGT_SYS_gettid = SYS_gettid,
  AGT_SYS_exit_group = SYS_exit_group,
  AGT_SYS_rt_sigreturn = SYS_rt_sigreturn,
  AGT_SYS_mmap = SYS_mmap,
  AGT_SYS_munmap = SYS_munmap,
  AGT_SYS_mremap = SYS_mremap,
  AGT_SYS_mprotect = SYS_mprotect,
  AGT_SYS_brk = SYS_brk,
  AGT_SYS_madvise = SYS_madvise,
  AGT_SYS_futex = SYS_futex,
  AGT_SYS_getrandom = SYS_getrandom,
  AGT_SYS_restart_syscall = SYS_restart_syscall,
  AGT_SYS_getrusage = SYS_getrusage,
#ifdef SYS_epoll_wait
  AGT_SYS_epoll_wait = SYS_epoll_wait,
#else
  AGT_SYS_epoll_wait = SYS_epoll_pwait,
#endif
};

/* ---- wait status macros: wait(2) ---- */
static inline int agt_wifexited(int s) { return WIFEXITED(s); }
static inline int agt_wexitstatus(int s) { return WEXITSTATUS(s); }
static inline int agt_wifsignaled(int s) { return WIFSIGNALED(s); }
static inline int agt_wtermsig(int s) { return WTERMSIG(s); }
static inline int agt_wifstopped(int s) { return WIFSTOPPED(s); }
static inline int agt_wstopsig(int s) { return WSTOPSIG(s); }
