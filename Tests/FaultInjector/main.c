// Stands in for agt-stage in the fault tests: becomes the real one, traced by a process of its own that
// makes one system call fail. strace's injection counts the calls of every traced process alike, so it
// cannot hit the third prctl of PID 1 and spare the launcher's; this counts per process.
//
// It finds `fault` beside itself: the path of the real stage, the path of a log, and
// `PROCESS ORDINAL ERRNO`, one a line. PROCESS numbers the launcher, and whatever it and its children
// create, in the order of creation; ORDINAL the calls of that process from 0 on. PROCESS -1 injects
// nothing and writes every call up to the start of the program to the log, `PROCESS ORDINAL NUMBER`, and
// then `end`. An injection writes `injected NUMBER`. A negative ERRNO lets the call happen and sends the signal of
// that number to the stage's parent, the supervisor, just before it; -64 stops the process there instead, for good.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <elf.h>
#include <unistd.h>

enum { maximum_processes = 64, hold = -64 };

struct process {
  pid_t pid;
  int ordinal;
  int inject;
  int executed;
  int held;
};

static struct process processes[maximum_processes];
static int process_count;
static char stage[4096], log_path[4096];
static int target_process, target_ordinal, target_errno;
static pid_t supervisor;
static FILE *log_file;
static int done;

static void fail(const char *what) {
  fprintf(stderr, "fault-injector: %s: %s\n", what, strerror(errno));
  _exit(99);
}

static void read_settings(void) {
  char path[4200];
  ssize_t length = readlink("/proc/self/exe", path, 4096);
  if (length < 0) fail("readlink");
  path[length] = 0;
  strcpy(strrchr(path, '/'), "/fault");
  FILE *file = fopen(path, "re");
  if (!file || fscanf(file, "%4095s %4095s %d %d %d", stage, log_path, &target_process,
                      &target_ordinal, &target_errno) != 5)
    fail(path);
  fclose(file);
}

// A child is seen first in its own stop or in its parent's, whichever comes first.
static struct process *find(pid_t pid) {
  for (int index = 0; index < process_count; index++)
    if (processes[index].pid == pid) return &processes[index];
  if (process_count == maximum_processes) _exit(98);
  struct process *process = &processes[process_count++];
  *process = (struct process){.pid = pid};
  return process;
}

static void set_registers(struct process *process, int entering) {
#if defined(__x86_64__)
  struct user_regs_struct registers;
  struct iovec vector = {&registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, process->pid, NT_PRSTATUS, &vector)) return;
  if (entering) registers.orig_rax = -1;
  else registers.rax = -target_errno;
  ptrace(PTRACE_SETREGSET, process->pid, NT_PRSTATUS, &vector);
#elif defined(__aarch64__)
  if (entering) {
    int number = -1;
    struct iovec vector = {&number, sizeof number};
    ptrace(PTRACE_SETREGSET, process->pid, NT_ARM_SYSTEM_CALL, &vector);
    return;
  }
  struct user_regs_struct registers;
  struct iovec vector = {&registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, process->pid, NT_PRSTATUS, &vector)) return;
  registers.regs[0] = -target_errno;
  ptrace(PTRACE_SETREGSET, process->pid, NT_PRSTATUS, &vector);
#else
#error "no register access for this machine"
#endif
}

static void system_call(struct process *process) {
  struct __ptrace_syscall_info info;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, process->pid, sizeof info, &info) <= 0) return;
  if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
    int index = process - processes;
    if (index == 0 && !process->executed) return;
    int ordinal = process->ordinal++;
    if (target_process < 0)
      fprintf(log_file, "%d %d %lld\n", index, ordinal, (long long)info.entry.nr);
    else if (index == target_process && ordinal == target_ordinal) {
      if (target_errno >= 0) {
        process->inject = 1;
        set_registers(process, 1);
      } else {
        done = 1;
        if (target_errno == hold) process->held = 1;
        else kill(supervisor, -target_errno);
      }
      fprintf(log_file, "injected %lld\n", (long long)info.entry.nr);
      fflush(log_file);
    }
  } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && process->inject) {
    process->inject = 0;
    set_registers(process, 0);
    done = 1;
  }
}

static void trace(void) {
  while (1) {
    int status;
    pid_t pid = waitpid(-1, &status, __WALL);
    if (pid < 0) break;
    struct process *process = find(pid);
    if (!WIFSTOPPED(status)) continue;
    int event = status >> 16, signal = WSTOPSIG(status);
    unsigned long message = 0;
    long deliver = 0;
    if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK) {
      ptrace(PTRACE_GETEVENTMSG, pid, 0, &message);
      find(message);
    } else if (event == PTRACE_EVENT_EXEC) {
      // The launcher's own is the beginning; any other is the program's, after which nothing counts.
      if (process != processes) {
        done = 1;
        fputs("end\n", log_file);
        fflush(log_file);
      }
      process->executed = 1;
    } else if (event == PTRACE_EVENT_STOP) {
      if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU) {
        ptrace(PTRACE_LISTEN, pid, 0, 0);
        continue;
      }
    } else if (signal == (SIGTRAP | 0x80)) {
      if (!done) system_call(process);
    } else {
      deliver = signal;
    }
    if (process->held) continue;
    ptrace(done ? PTRACE_CONT : PTRACE_SYSCALL, pid, 0, deliver);
  }
  fclose(log_file);
  _exit(0);
}

static void become_tracer(pid_t tracee, int ready) {
  // No stream and no socket of the stage may stay open in here.
  if (ready != 10 && dup3(ready, 10, O_CLOEXEC) < 0) _exit(97);
  close_range(0, 9, 0);
  close_range(11, ~0U, 0);
  log_file = fopen(log_path, "we");
  if (!log_file) _exit(96);
  long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                 PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
  if (ptrace(PTRACE_SEIZE, tracee, 0, options)) _exit(95);
  find(tracee);
  if (ptrace(PTRACE_INTERRUPT, tracee, 0, 0)) _exit(94);
  close(10);
  trace();
}

int main(int count, char **arguments) {
  (void)count;
  read_settings();
  int ready[2];
  if (pipe2(ready, O_CLOEXEC)) fail("pipe2");
  pid_t own = getpid();
  supervisor = getppid();
  // The tracer is nobody's child here: the stage's children are those that it makes itself.
  pid_t middle = fork();
  if (middle < 0) fail("fork");
  if (middle == 0) {
    pid_t tracer = fork();
    if (tracer == 0) become_tracer(own, ready[1]);
    _exit(tracer < 0);
  }
  waitpid(middle, NULL, 0);
  close(ready[1]);
  char byte;
  // End of file: the tracer is there, or it has failed and its log is missing.
  if (read(ready[0], &byte, 1) < 0 && errno != EINTR) fail("read");
  execv(stage, arguments);
  fail(stage);
}
