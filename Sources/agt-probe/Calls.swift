internal import CProbe
internal import Glibc

/// One system call: what the kernel returned, minus errno when it failed.
func call(
  _ number: Int32, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0,
  _ f: Int = 0
) -> Int {
  probe_call(Int(number), a, b, c, d, e, f)
}

/// AT_FDCWD of openat(2).
let currentDirectory = Int(AT_FDCWD)
/// AT_EMPTY_PATH and O_PATH, which Glibc's headers show only with _GNU_SOURCE.
let emptyPath: Int32 = 0x1000
let pathOnly: Int32 = 0o10000000

func open(_ path: String, _ flags: Int32, _ mode: Int = 0) -> Int {
  call(SYS_openat, currentDirectory, Memory.text(path), Int(flags | O_CLOEXEC), mode)
}

func close(_ fd: Int) { _ = call(SYS_close, fd) }

/// At most `count` bytes, or minus errno.
func read(_ fd: Int, _ count: Int) -> (result: Int, bytes: [UInt8]) {
  let buffer = Memory.zeroed(count)
  let result = call(SYS_read, fd, buffer, count)
  return (result, result > 0 ? Memory.load(count: result, at: buffer) : [])
}

/// The beginning of a file: at most `limit` bytes, or minus errno of open(2) or read(2).
func contents(_ path: String, limit: Int = 65536) -> (result: Int, bytes: [UInt8]) {
  let fd = open(path, O_RDONLY | O_NONBLOCK)
  if fd < 0 { return (fd, []) }
  defer { close(fd) }
  var all: [UInt8] = []
  while all.count < limit {
    let part = read(fd, limit - all.count)
    if part.result < 0 { return all.isEmpty ? part : (all.count, all) }
    if part.result == 0 { break }
    all += part.bytes
  }
  return (all.count, all)
}

func write(_ fd: Int, _ bytes: [UInt8]) -> Int {
  call(SYS_write, fd, Memory.bytes(bytes), bytes.count)
}

/// Writes the whole of a new file; minus errno of the call that failed.
func create(_ path: String, _ bytes: [UInt8], mode: Int = 0o644) -> Int {
  let fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode)
  if fd < 0 { return fd }
  defer { close(fd) }
  return write(fd, bytes)
}

func unlink(_ path: String) { _ = call(SYS_unlinkat, currentDirectory, Memory.text(path), 0) }

func removeDirectory(_ path: String) {
  _ = call(SYS_unlinkat, currentDirectory, Memory.text(path), Int(AT_REMOVEDIR))
}

func makeDirectory(_ path: String) -> Int {
  call(SYS_mkdirat, currentDirectory, Memory.text(path), 0o700)
}

/// Names in a directory, without `.` and `..`; minus errno when it cannot be listed.
func names(in path: String) -> (result: Int, names: [String]) {
  let fd = open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK)
  if fd < 0 { return (fd, []) }
  defer { close(fd) }
  let size = 32768
  let buffer = Memory.zeroed(size)
  var found: [String] = []
  while true {
    let count = call(SYS_getdents64, fd, buffer, size)
    if count < 0 { return (count, found) }
    if count == 0 { return (0, found) }
    var entry = buffer
    while entry < buffer + count {
      // struct linux_dirent64: d_ino, d_off, d_reclen (2 bytes), d_type (1 byte), d_name.
      let length = Int(Memory.load(UInt16.self, at: entry + 16))
      let name = Memory.load(count: length - 19, at: entry + 19).prefix { $0 != 0 }
      let text = String(decoding: name, as: UTF8.self)
      if text != "." && text != ".." { found.append(text) }
      entry += length
    }
  }
}

/// What stat(2) says; nil with minus errno when it failed.
struct FileStatus {
  var device: UInt64
  var inode: UInt64
  var mode: UInt32
  var specialDevice: UInt64
  var changeSeconds: Int64
  var changeNanoseconds: UInt32

  var isDirectory: Bool { mode & 0o170000 == 0o040000 }
  var isCharacterDevice: Bool { mode & 0o170000 == 0o020000 }
  var isBlockDevice: Bool { mode & 0o170000 == 0o060000 }
  var isRegular: Bool { mode & 0o170000 == 0o100000 }
}

func status(fd: Int, path: String = "", flags: Int32 = emptyPath) -> (Int, FileStatus?) {
  // struct stat of x86-64 and of the generic ABI begins alike with st_dev and st_ino; statx(2)
  // is the same everywhere: mode at 28, inode at 32, ctime at 96, rdev
  // at 128, dev at 136.
  let buffer = Memory.zeroed(256)
  let result = call(SYS_statx, fd, Memory.text(path), Int(flags), 0x7ff, buffer)
  if result < 0 { return (result, nil) }
  func device(_ offset: Int) -> UInt64 {
    UInt64(Memory.load(UInt32.self, at: buffer + offset)) << 32
      | UInt64(Memory.load(UInt32.self, at: buffer + offset + 4))
  }
  return (
    0,
    FileStatus(
      device: device(136), inode: Memory.load(UInt64.self, at: buffer + 32),
      mode: UInt32(Memory.load(UInt16.self, at: buffer + 28)), specialDevice: device(128),
      changeSeconds: Memory.load(Int64.self, at: buffer + 96),
      changeNanoseconds: Memory.load(UInt32.self, at: buffer + 104))
  )
}

func status(_ path: String) -> (Int, FileStatus?) {
  status(fd: currentDirectory, path: path, flags: 0)
}

/// The target of a symbolic link, or nil.
func linkTarget(_ path: String) -> String? {
  let buffer = Memory.zeroed(4096)
  let count = call(SYS_readlinkat, currentDirectory, Memory.text(path), buffer, 4096)
  if count < 0 { return nil }
  return String(decoding: Memory.load(count: count, at: buffer), as: UTF8.self)
}

func workingDirectory() -> String {
  let buffer = Memory.zeroed(4096)
  let count = call(SYS_getcwd, buffer, 4096)
  if count <= 0 { return "" }
  return String(decoding: Memory.load(count: count - 1, at: buffer), as: UTF8.self)
}

/// The exit status of a child: what waitpid(2) stores.
func wait(for pid: Int) -> Int32 {
  let status = Memory.halves([0])
  while true {
    let result = call(SYS_wait4, pid, status, 0, 0)
    if result == pid { return Int32(bitPattern: Memory.load(UInt32.self, at: status)) }
    if result != -Int(EINTR) { return -1 }
  }
}

func leave(_ status: Int32) -> Never { exit(status) }

func identity() -> (uid: Int, effectiveUID: Int, gid: Int, effectiveGID: Int) {
  (call(SYS_getuid), call(SYS_geteuid), call(SYS_getgid), call(SYS_getegid))
}

/// The value of one field of /proc/self/status, `CapEff` → `0000000000000000`.
func processField(_ name: String) -> String? {
  let text = String(decoding: contents("/proc/self/status").bytes, as: UTF8.self)
  for line in text.split(separator: "\n") where line.hasPrefix(name + ":") {
    return String(line.dropFirst(name.count + 1).drop { $0 == "\t" || $0 == " " })
  }
  return nil
}

/// Substring search without Foundation.
func contains(_ text: String, _ part: String) -> Bool {
  let (text, part) = (Array(text.utf8), Array(part.utf8))
  if part.isEmpty || part.count > text.count { return part.isEmpty }
  return (0...(text.count - part.count)).contains {
    text[$0..<($0 + part.count)].elementsEqual(part)
  }
}
