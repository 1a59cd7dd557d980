import Glibc
import Testing

@testable import Kernel

/// The typed calls, where an effect can be seen without a second process.
@Suite struct DescriptorTests {
  private func isOpen(_ number: Int32) -> Bool { fcntl(number, F_GETFD) >= 0 }

  @Test func ownedDescriptorsCloseOnce() throws {
    var number: Int32 = -1
    do {
      let file = try Files.open(ByteString("/dev/null"), O_RDONLY)
      number = file.raw
      #expect(Descriptors.isOpen(number))
      #expect(fcntl(number, F_GETFD) & FD_CLOEXEC != 0)
    }
    let pipe = try Descriptors.pipe()
    // The number is free again, or belongs to another test: never is the old file there.
    #expect(number >= 0)
    #expect(isOpen(pipe.reader.raw) && isOpen(pipe.writer.raw))
  }

  @Test func releasedDescriptorsStayOpen() throws {
    let number = try Files.open(ByteString("/dev/null"), O_RDONLY).release()
    #expect(isOpen(number))
    _ = OwnedFD(number)
  }

  @Test func bytesThroughAPipe() throws {
    let pipe = try Descriptors.pipe()
    let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
    try Descriptors.write(pipe.writer.raw, bytes)
    let reader = pipe.takeReader()
    #expect(try Descriptors.readAll(reader.raw, limit: 20_000) == bytes)
  }

  @Test func sealedMemoryCannotChange() throws {
    let file = try Descriptors.sealedMemory(name: "test", Array("fixed".utf8))
    #expect(try Descriptors.isSealed(file.raw))
    #expect(try Files.readFromStart(file.raw, limit: 100) == Array("fixed".utf8))
    #expect(throws: SyscallError.self) { try Descriptors.write(file.raw, [1]) }
    #expect(ftruncate(file.raw, 0) < 0)
  }

  /// What has no seals at all must not count as sealed: F_GET_SEALS fails with -1 there.
  @Test func otherFilesAreNotSealed() throws {
    let null = try Files.open(ByteString("/dev/null"), O_RDWR)
    #expect(throws: SyscallError.self) { _ = try Descriptors.isSealed(null.raw) }
    let memory = try Descriptors.memory(name: "open")
    #expect(try !Descriptors.isSealed(memory.raw))
    #expect(throws: SyscallError.self) { _ = try Descriptors.isSealed(-1) }
  }
}

@Suite struct MessageTests {
  @Test func bordersAndDescriptors() throws {
    let pair = try Messages.pair()
    let null = try Files.open(ByteString("/dev/null"), O_RDONLY)
    try Messages.send(pair.first.raw, [1, 2, 3], descriptors: [null.raw])
    try Messages.send(pair.first.raw, [4])
    let first = try #require(try Messages.receive(pair.second.raw, capacity: 16, blocking: true))
    #expect(first.bytes == [1, 2, 3])
    #expect(first.descriptors.count == 1)
    for number in first.descriptors {
      #expect(fcntl(number, F_GETFD) & FD_CLOEXEC != 0)
      _ = OwnedFD(number)
    }
    let second = try #require(try Messages.receive(pair.second.raw, capacity: 16, blocking: true))
    #expect(second.bytes == [4] && second.descriptors == [])
  }

  /// An empty message is taken for the end; what came with it is closed.
  @Test func descriptorsOfAnEmptyMessage() throws {
    let pair = try Messages.pair()
    let pipe = try Descriptors.pipe()
    let writer = try pipe.writer.duplicate().release()
    try Messages.send(pair.first.raw, [], descriptors: [writer])
    _ = OwnedFD(writer)
    let reader = try pipe.reader.duplicate()
    _ = consume pipe
    let message = try Messages.receive(pair.second.raw, capacity: 16, blocking: true)
    #expect(message == nil)
    // Its last writer was on its way.
    #expect(try Descriptors.read(reader.raw, upTo: 1).isEmpty)
  }

  @Test func nothingWaits() throws {
    let pair = try Messages.pair()
    #expect(throws: SyscallError.self) {
      _ = try Messages.receive(pair.first.raw, capacity: 16, blocking: false)
    }
  }

  /// A peer that left messages of ours unread: its own last one is not lost.
  @Test func lastMessageOfAPeerThatDidNotRead() throws {
    let pair = try Messages.pair()
    let ours = pair.first.raw
    let theirs = try pair.second.duplicate().release()
    // The peer has one copy left when the pair goes.
    let kept = fcntl(ours, F_DUPFD_CLOEXEC, 0)
    _ = consume pair
    try Messages.send(kept, [9])
    try Messages.send(theirs, [7])
    _ = OwnedFD(theirs)
    let last = try #require(try Messages.receive(kept, capacity: 16, blocking: true))
    #expect(last.bytes == [7])
    let end = try Messages.receive(kept, capacity: 16, blocking: true)
    #expect(end == nil)
    _ = OwnedFD(kept)
  }
}

@Suite struct ErrorTests {
  @Test func sayCallObjectAndName() {
    let error = SyscallError(call: "openat", object: "/x", errno: ENOENT)
    #expect(error.description == "openat(\"/x\"): No such file or directory (ENOENT)")
    #expect(
      SyscallError(call: "setsid", errno: EPERM).description
        == "setsid(): Operation not permitted (EPERM)")
  }

  @Test func everyErrnoThatTheHintsUseHasItsName() {
    for (number, name) in [
      (EPERM, "EPERM"), (EACCES, "EACCES"), (ENOSPC, "ENOSPC"), (EAGAIN, "EAGAIN"),
      (ENOSYS, "ENOSYS"), (EINVAL, "EINVAL"), (ESTALE, "ESTALE"), (EBUSY, "EBUSY"),
      (ENOEXEC, "ENOEXEC"), (EPROTO, "EPROTO"), (EOPNOTSUPP, "EOPNOTSUPP"), (ENOTDIR, "ENOTDIR"),
    ] { #expect(Errno.name(number) == name) }
  }

  @Test func errorsOfRealCalls() {
    #expect(throws: SyscallError(call: "openat", object: "/nonexistent/x", errno: ENOENT)) {
      _ = try Files.open(ByteString("/nonexistent/x"), O_RDONLY)
    }
  }
}

@Suite struct MissingDirectoryTests {
  @Test func allOnTheWay() throws {
    let top = "/tmp/agt-directories-\(getpid())"
    let all = [top, top + "/a", top + "/a/b"]
    defer { for path in all.reversed() { try? Files.remove(ByteString(path), directory: true) } }
    for _ in 0..<2 { try Files.makeDirectories(ByteString(all[2]), mode: 0o700) }
    for path in all {
      let status = try Files.status(of: ByteString(path), followLink: false)
      #expect(status.kind == .directory && status.mode == 0o700)
    }
    let error = #expect(throws: SyscallError.self) {
      try Files.makeDirectories(ByteString("/dev/null/a"), mode: 0o700)
    }
    #expect(error?.errno == ENOTDIR)
  }
}

@Suite struct NamespaceNameTests {
  @Test func inTheOrderOfTheMessages() {
    #expect(NamespaceSet([]).names == "")
    #expect(
      NamespaceSet([.user, .mount, .pid, .network, .ipc, .uts, .cgroup]).names
        == "user,mount,pid,network,ipc,uts,cgroup")
  }
}
