// first-calls BINARY COMMAND…
//
// Prints which functions of a static executable the command runs, a line each in the order of their first calls:
// a breakpoint at the start of each (ptrace(2)), in every process that executes it, taken away when it is met.
// What can go wrong: a program that reads its own text sees the breakpoints.
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

struct function {
  uint64_t address;
  const char *name;
  unsigned char byte;
  int seen;
};

static struct function *functions;
static size_t count;
static const char *binary;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int by_address(const void *one, const void *other) {
  uint64_t left = ((const struct function *)one)->address;
  uint64_t right = ((const struct function *)other)->address;
  return (left > right) - (left < right);
}

// The symbol table lists each function with where it is; its section says which byte is there.
static void load(void) {
  int file = open(binary, O_RDONLY);
  struct stat status;
  if (file < 0 || fstat(file, &status) < 0) fail(binary);
  unsigned char *base = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
  if (base == MAP_FAILED) fail(binary);
  Elf64_Ehdr *header = (Elf64_Ehdr *)base;
  Elf64_Shdr *sections = (Elf64_Shdr *)(base + header->e_shoff);
  for (int i = 0; i < header->e_shnum; i++) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    Elf64_Sym *symbols = (Elf64_Sym *)(base + sections[i].sh_offset);
    size_t number = sections[i].sh_size / sizeof *symbols;
    const char *names = (const char *)base + sections[sections[i].sh_link].sh_offset;
    functions = calloc(number, sizeof *functions);
    if (!functions) fail("calloc");
    for (size_t k = 0; k < number; k++) {
      int type = ELF64_ST_TYPE(symbols[k].st_info);
      if (type != STT_FUNC && type != STT_GNU_IFUNC) continue;
      if (!symbols[k].st_size || symbols[k].st_shndx >= header->e_shnum) continue;
      Elf64_Shdr *home = &sections[symbols[k].st_shndx];
      if (!(home->sh_flags & SHF_EXECINSTR)) continue;
      functions[count].address = symbols[k].st_value;
      functions[count].name = names + symbols[k].st_name;
      functions[count].byte = base[home->sh_offset + symbols[k].st_value - home->sh_addr];
      count++;
    }
  }
  qsort(functions, count, sizeof *functions, by_address);
}

// The first of those at an address; nil when it is none's.
static struct function *find(uint64_t address) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (functions[middle].address < address) low = middle + 1;
    else high = middle;
  }
  return low < count && functions[low].address == address ? &functions[low] : NULL;
}

static void put(pid_t process, uint64_t address, unsigned char byte) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", process);
  int memory = open(path, O_RDWR);
  if (memory < 0 || pwrite(memory, &byte, 1, address) != 1) fail(path);
  close(memory);
}

static void arm(pid_t process) {
  char link[64], path[PATH_MAX] = "";
  snprintf(link, sizeof link, "/proc/%d/exe", process);
  if (readlink(link, path, sizeof path - 1) < 0 || strcmp(path, binary)) return;
  for (size_t i = 0; i < count; i++) put(process, functions[i].address, 0xcc);
}

// True when the stop was one of our breakpoints.
static int meet(pid_t process) {
  struct user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, process, 0, &registers) < 0) return 0;
  struct function *function = find(registers.rip - 1);
  if (!function) return 0;
  put(process, function->address, function->byte);
  if (!function->seen) {
    function->seen = 1;
    puts(function->name);
  }
  registers.rip--;
  ptrace(PTRACE_SETREGS, process, 0, &registers);
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: first-calls BINARY COMMAND...\n");
    return 2;
  }
  binary = realpath(argv[1], NULL);
  if (!binary) fail(argv[1]);
  load();
  pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    _exit(127);
  }
  int status, result = 1;
  waitpid(child, &status, 0);
  ptrace(
      PTRACE_SETOPTIONS, child, 0,
      PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE
          | PTRACE_O_EXITKILL);
  ptrace(PTRACE_CONT, child, 0, 0);
  for (pid_t process; (process = waitpid(-1, &status, __WALL)) > 0;) {
    if (process == child && WIFEXITED(status)) result = WEXITSTATUS(status);
    if (!WIFSTOPPED(status)) continue;
    int number = WSTOPSIG(status);
    if (status >> 16 == PTRACE_EVENT_EXEC) arm(process);
    if (status >> 16 || number == SIGSTOP || (number == SIGTRAP && meet(process))) number = 0;
    ptrace(PTRACE_CONT, process, 0, number);
  }
  return result;
}
