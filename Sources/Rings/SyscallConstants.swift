internal import Glibc

/// Names that a profile may use for the arguments of system calls, with the values of Linux's
/// headers. A name belongs to the family that its prefix says, so that text can be made of numbers
/// again.
enum SyscallConstants {
  /// Constants that are used for the same argument.
  struct Family {
    let constants: [(name: String, value: UInt64)]

    func value(_ name: String) -> UInt64? { constants.first { $0.name == name }?.value }

    /// The name of a value, or names of single bits joined by `|` that together make it.
    func text(_ value: UInt64) -> String? {
      if let exact = constants.first(where: { $0.value == value }) { return exact.name }
      var rest = value
      var names: [String] = []
      for (name, bit) in constants where bit.nonzeroBitCount == 1 && rest & bit != 0 {
        names.append(name)
        rest &= ~bit
      }
      return rest == 0 && !names.isEmpty ? names.joined(separator: "|") : nil
    }
  }

  /// The value of a name of any family.
  static func value(_ name: String) -> UInt64? { values[name] }

  private static let values = Dictionary(
    uniqueKeysWithValues: families.flatMap { $0.constants.map { ($0.name, $0.value) } })

  /// Every name, for suggestions.
  static var names: [String] { families.flatMap { $0.constants.map(\.name) } }

  /// The family of an argument, when its values have names.
  static func family(_ call: SyscallPolicy.Call, argument: UInt8) -> Family? {
    switch (call.name, argument) {
    case ("socket", 0), ("socketpair", 0): addressFamilies
    case ("socket", 1), ("socketpair", 1): socketTypes
    case ("socket", 2): isNetlink(call) ? netlinkProtocols : internetProtocols
    case ("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3): messageFlags
    case ("recvfrom", 3), ("recvmsg", 2), ("recvmmsg", 3): messageFlags
    case ("clone", 0), ("unshare", 0), ("setns", 1): cloneFlags
    case ("ioctl", 1): deviceCommands
    case ("prctl", 0): processOptions
    case ("prctl", 1): ambientOperations
    case ("open", 1), ("openat", 2): openFlags
    case ("execveat", 4): atFlags
    case ("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2): modeBits
    case ("creat", 1), ("open", 2), ("openat", 3), ("mknod", 1), ("mknodat", 2): modeBits
    case ("memfd_create", 1): memoryFileFlags
    case ("personality", 0): personalities
    default: nil
    }
  }

  private static func isNetlink(_ call: SyscallPolicy.Call) -> Bool {
    let netlink = addressFamilies.value("AF_NETLINK")
    return call.when.contains {
      $0.argument == 0 && $0.comparison == .isIn([netlink].compactMap { $0 })
    }
  }

  private static let families = [
    addressFamilies, socketTypes, internetProtocols, netlinkProtocols, messageFlags, cloneFlags,
    deviceCommands, processOptions, ambientOperations, openFlags, atFlags, modeBits,
    memoryFileFlags, personalities,
  ]

  /// socket(2), linux/socket.h
  static let addressFamilies = Family(constants: [
    ("AF_UNSPEC", 0), ("AF_UNIX", 1), ("AF_INET", 2), ("AF_AX25", 3), ("AF_IPX", 4),
    ("AF_APPLETALK", 5), ("AF_NETROM", 6), ("AF_ATMPVC", 8), ("AF_X25", 9), ("AF_INET6", 10),
    ("AF_ROSE", 11), ("AF_DECnet", 12), ("AF_KEY", 15), ("AF_NETLINK", 16), ("AF_PACKET", 17),
    ("AF_ATMSVC", 20), ("AF_RDS", 21), ("AF_IRDA", 23), ("AF_PPPOX", 24), ("AF_LLC", 26),
    ("AF_IB", 27), ("AF_MPLS", 28), ("AF_CAN", 29), ("AF_TIPC", 30), ("AF_BLUETOOTH", 31),
    ("AF_IUCV", 32), ("AF_RXRPC", 33), ("AF_ISDN", 34), ("AF_PHONET", 35), ("AF_IEEE802154", 36),
    ("AF_CAIF", 37), ("AF_ALG", 38), ("AF_NFC", 39), ("AF_VSOCK", 40), ("AF_KCM", 41),
    ("AF_QIPCRTR", 42), ("AF_SMC", 43), ("AF_XDP", 44), ("AF_MCTP", 45),
  ])

  /// socket(2)
  static let socketTypes = Family(constants: [
    ("SOCK_STREAM", 1), ("SOCK_DGRAM", 2), ("SOCK_RAW", 3), ("SOCK_RDM", 4), ("SOCK_SEQPACKET", 5),
    ("SOCK_DCCP", 6), ("SOCK_PACKET", 0xa), ("SOCK_NONBLOCK", 0x800), ("SOCK_CLOEXEC", 0x80000),
  ])

  /// socket(2), ip(7), linux/in.h
  static let internetProtocols = Family(constants: [
    ("IPPROTO_IP", 0), ("IPPROTO_ICMP", 1), ("IPPROTO_TCP", 6), ("IPPROTO_UDP", 17),
    ("IPPROTO_ICMPV6", 58), ("IPPROTO_SCTP", 132), ("IPPROTO_UDPLITE", 136), ("IPPROTO_RAW", 255),
    ("IPPROTO_SMC", 256), ("IPPROTO_MPTCP", 262),
  ])

  /// netlink(7)
  static let netlinkProtocols = Family(constants: [
    ("NETLINK_ROUTE", 0), ("NETLINK_SOCK_DIAG", 4), ("NETLINK_XFRM", 6), ("NETLINK_AUDIT", 9),
    ("NETLINK_NETFILTER", 12), ("NETLINK_KOBJECT_UEVENT", 15), ("NETLINK_GENERIC", 16),
    ("NETLINK_CRYPTO", 21),
  ])

  /// send(2), recv(2)
  static let messageFlags = Family(constants: [
    ("MSG_OOB", 1), ("MSG_ZEROCOPY", 0x4000000), ("MSG_FASTOPEN", 0x2000_0000),
  ])

  /// clone(2); CLONE_NEWANY is ours: the flags of all namespaces.
  static let cloneFlags = Family(constants: [
    ("CLONE_NEWTIME", 0x80), ("CLONE_VM", 0x100), ("CLONE_FS", 0x200), ("CLONE_FILES", 0x400),
    ("CLONE_SIGHAND", 0x800), ("CLONE_PIDFD", 0x1000), ("CLONE_PTRACE", 0x2000),
    ("CLONE_VFORK", 0x4000), ("CLONE_PARENT", 0x8000), ("CLONE_THREAD", 0x10000),
    ("CLONE_NEWNS", 0x20000), ("CLONE_SYSVSEM", 0x40000), ("CLONE_SETTLS", 0x80000),
    ("CLONE_PARENT_SETTID", 0x100000), ("CLONE_CHILD_CLEARTID", 0x200000),
    ("CLONE_UNTRACED", 0x800000), ("CLONE_CHILD_SETTID", 0x1000000), ("CLONE_NEWCGROUP", 0x2000000),
    ("CLONE_NEWUTS", 0x4000000), ("CLONE_NEWIPC", 0x8000000), ("CLONE_NEWUSER", 0x1000_0000),
    ("CLONE_NEWPID", 0x2000_0000), ("CLONE_NEWNET", 0x4000_0000), ("CLONE_IO", 0x8000_0000),
    ("CLONE_NEWANY", 0x7e02_0080),
  ])

  /// ioctl_tty(2), ioctl(2), linux/fs.h
  static let deviceCommands = Family(constants: [
    ("TCGETS", 0x5401), ("TCSETS", 0x5402), ("TCSETSW", 0x5403), ("TCSETSF", 0x5404),
    ("TCGETA", 0x5405), ("TCSETA", 0x5406), ("TCSETAW", 0x5407), ("TCSETAF", 0x5408),
    ("TCSBRK", 0x5409), ("TCXONC", 0x540a), ("TCFLSH", 0x540b), ("TIOCEXCL", 0x540c),
    ("TIOCNXCL", 0x540d), ("TIOCSCTTY", 0x540e), ("TIOCGPGRP", 0x540f), ("TIOCSPGRP", 0x5410),
    ("TIOCOUTQ", 0x5411), ("TIOCSTI", 0x5412), ("TIOCGWINSZ", 0x5413), ("TIOCSWINSZ", 0x5414),
    ("TIOCMGET", 0x5415), ("TIOCMSET", 0x5418), ("FIONREAD", 0x541b), ("TIOCLINUX", 0x541c),
    ("TIOCCONS", 0x541d), ("TIOCPKT", 0x5420), ("FIONBIO", 0x5421), ("TIOCNOTTY", 0x5422),
    ("TIOCSETD", 0x5423), ("TIOCGETD", 0x5424), ("TCSBRKP", 0x5425), ("TIOCSBRK", 0x5427),
    ("TIOCCBRK", 0x5428), ("TIOCGSID", 0x5429), ("TIOCVHANGUP", 0x5437), ("TIOCGPTPEER", 0x5441),
    ("FIONCLEX", 0x5450), ("FIOCLEX", 0x5451), ("FIOASYNC", 0x5452), ("FIOQSIZE", 0x5460),
    ("TIOCSPTLCK", 0x4004_5431), ("TIOCSIG", 0x4004_5436), ("FICLONE", 0x4004_9409),
    ("FS_IOC_SETFLAGS", 0x4008_6602), ("FICLONERANGE", 0x4020_940d), ("TCSETS2", 0x402c_542b),
    ("TCSETSW2", 0x402c_542c), ("TCSETSF2", 0x402c_542d), ("TIOCGPTN", 0x8004_5430),
    ("TIOCGDEV", 0x8004_5432), ("TIOCGPTLCK", 0x8004_5439), ("FS_IOC_GETFLAGS", 0x8008_6601),
    ("TCGETS2", 0x802c_542a),
  ])

  /// prctl(2)
  static let processOptions = Family(constants: [
    ("PR_SET_PDEATHSIG", 1), ("PR_GET_PDEATHSIG", 2), ("PR_GET_DUMPABLE", 3),
    ("PR_SET_DUMPABLE", 4), ("PR_GET_UNALIGN", 5), ("PR_SET_UNALIGN", 6), ("PR_GET_KEEPCAPS", 7),
    ("PR_SET_KEEPCAPS", 8), ("PR_GET_TIMING", 13), ("PR_SET_TIMING", 14), ("PR_SET_NAME", 15),
    ("PR_GET_NAME", 16), ("PR_GET_SECCOMP", 21), ("PR_SET_SECCOMP", 22), ("PR_CAPBSET_READ", 23),
    ("PR_CAPBSET_DROP", 24), ("PR_GET_TSC", 25), ("PR_SET_TSC", 26), ("PR_GET_SECUREBITS", 27),
    ("PR_SET_SECUREBITS", 28), ("PR_SET_TIMERSLACK", 29), ("PR_GET_TIMERSLACK", 30),
    ("PR_TASK_PERF_EVENTS_DISABLE", 31), ("PR_TASK_PERF_EVENTS_ENABLE", 32), ("PR_MCE_KILL", 33),
    ("PR_MCE_KILL_GET", 34), ("PR_SET_MM", 35), ("PR_SET_CHILD_SUBREAPER", 36),
    ("PR_GET_CHILD_SUBREAPER", 37), ("PR_SET_NO_NEW_PRIVS", 38), ("PR_GET_NO_NEW_PRIVS", 39),
    ("PR_GET_TID_ADDRESS", 40), ("PR_SET_THP_DISABLE", 41), ("PR_GET_THP_DISABLE", 42),
    ("PR_CAP_AMBIENT", 47), ("PR_SVE_SET_VL", 50), ("PR_SVE_GET_VL", 51),
    ("PR_GET_SPECULATION_CTRL", 52), ("PR_SET_SPECULATION_CTRL", 53), ("PR_PAC_RESET_KEYS", 54),
    ("PR_SET_TAGGED_ADDR_CTRL", 55), ("PR_GET_TAGGED_ADDR_CTRL", 56), ("PR_SET_IO_FLUSHER", 57),
    ("PR_GET_IO_FLUSHER", 58), ("PR_SET_SYSCALL_USER_DISPATCH", 59), ("PR_SCHED_CORE", 62),
    ("PR_SET_MDWE", 65), ("PR_GET_MDWE", 66), ("PR_SET_MEMORY_MERGE", 67),
    ("PR_GET_MEMORY_MERGE", 68), ("PR_GET_AUXV", 0x4155_5856), ("PR_SET_VMA", 0x5356_4d41),
    ("PR_SET_PTRACER", 0x5961_6d61),
  ])

  /// PR_CAP_AMBIENT of prctl(2)
  static let ambientOperations = Family(constants: [
    ("PR_CAP_AMBIENT_IS_SET", 1), ("PR_CAP_AMBIENT_RAISE", 2), ("PR_CAP_AMBIENT_LOWER", 3),
    ("PR_CAP_AMBIENT_CLEAR_ALL", 4),
  ])

  /// open(2); the values differ between architectures.
  static let openFlags = Family(constants: [
    ("O_WRONLY", UInt64(O_WRONLY)), ("O_RDWR", UInt64(O_RDWR)), ("O_CREAT", UInt64(O_CREAT)),
    ("O_TRUNC", UInt64(O_TRUNC)), ("O_NONBLOCK", UInt64(O_NONBLOCK)),
    ("O_DIRECTORY", UInt64(O_DIRECTORY)), ("O_NOFOLLOW", UInt64(O_NOFOLLOW)),
    ("O_CLOEXEC", UInt64(O_CLOEXEC)), ("O_PATH", 0x20_0000),
    ("O_TMPFILE", 0x40_0000 | UInt64(O_DIRECTORY)),
  ])

  /// openat(2)
  static let atFlags = Family(constants: [
    ("AT_SYMLINK_NOFOLLOW", 0x100), ("AT_EMPTY_PATH", 0x1000),
  ])

  /// inode(7)
  static let modeBits = Family(constants: [
    ("S_ISVTX", 0x200), ("S_ISGID", 0x400), ("S_ISUID", 0x800), ("S_IFIFO", 0x1000),
    ("S_IFCHR", 0x2000), ("S_IFDIR", 0x4000), ("S_IFBLK", 0x6000), ("S_IFREG", 0x8000),
    ("S_IFSOCK", 0xc000), ("S_IFMT", 0xf000),
  ])

  /// memfd_create(2)
  static let memoryFileFlags = Family(constants: [
    ("MFD_CLOEXEC", 1), ("MFD_ALLOW_SEALING", 2), ("MFD_HUGETLB", 4), ("MFD_NOEXEC_SEAL", 8),
    ("MFD_EXEC", 0x10),
  ])

  /// personality(2); PER_QUERY is ours: the value that changes nothing.
  static let personalities = Family(constants: [
    ("PER_LINUX", 0), ("UNAME26", 0x20000), ("ADDR_NO_RANDOMIZE", 0x40000),
    ("MMAP_PAGE_ZERO", 0x100000), ("ADDR_COMPAT_LAYOUT", 0x200000), ("READ_IMPLIES_EXEC", 0x400000),
    ("PER_QUERY", 0xffff_ffff),
  ])

  /// Errno values by name (errno(3)).
  static func errno(_ name: String) -> Int32? { errnos.first { $0.name == name }?.value }

  static func errnoName(_ value: Int32) -> String? { errnos.first { $0.value == value }?.name }

  static let errnos: [(name: String, value: Int32)] = [
    ("EPERM", EPERM), ("ENOENT", ENOENT), ("ESRCH", ESRCH), ("EINTR", EINTR), ("EIO", EIO),
    ("ENXIO", ENXIO), ("E2BIG", E2BIG), ("ENOEXEC", ENOEXEC), ("EBADF", EBADF), ("ECHILD", ECHILD),
    ("EAGAIN", EAGAIN), ("ENOMEM", ENOMEM), ("EACCES", EACCES), ("EFAULT", EFAULT),
    ("ENOTBLK", ENOTBLK), ("EBUSY", EBUSY), ("EEXIST", EEXIST), ("EXDEV", EXDEV),
    ("ENODEV", ENODEV), ("ENOTDIR", ENOTDIR), ("EISDIR", EISDIR), ("EINVAL", EINVAL),
    ("ENFILE", ENFILE), ("EMFILE", EMFILE), ("ENOTTY", ENOTTY), ("ETXTBSY", ETXTBSY),
    ("EFBIG", EFBIG), ("ENOSPC", ENOSPC), ("ESPIPE", ESPIPE), ("EROFS", EROFS), ("EMLINK", EMLINK),
    ("EPIPE", EPIPE), ("EDOM", EDOM), ("ERANGE", ERANGE), ("EDEADLK", EDEADLK),
    ("ENAMETOOLONG", ENAMETOOLONG), ("ENOLCK", ENOLCK), ("ENOSYS", ENOSYS),
    ("ENOTEMPTY", ENOTEMPTY), ("ELOOP", ELOOP), ("ENOMSG", ENOMSG), ("EIDRM", EIDRM),
    ("ECHRNG", ECHRNG), ("EL2NSYNC", EL2NSYNC), ("EL3HLT", EL3HLT), ("EL3RST", EL3RST),
    ("ELNRNG", ELNRNG), ("EUNATCH", EUNATCH), ("ENOCSI", ENOCSI), ("EL2HLT", EL2HLT),
    ("EBADE", EBADE), ("EBADR", EBADR), ("EXFULL", EXFULL), ("ENOANO", ENOANO),
    ("EBADRQC", EBADRQC), ("EBADSLT", EBADSLT), ("EBFONT", EBFONT), ("ENOSTR", ENOSTR),
    ("ENODATA", ENODATA), ("ETIME", ETIME), ("ENOSR", ENOSR), ("ENONET", ENONET),
    ("ENOPKG", ENOPKG), ("EREMOTE", EREMOTE), ("ENOLINK", ENOLINK), ("EADV", EADV),
    ("ESRMNT", ESRMNT), ("ECOMM", ECOMM), ("EPROTO", EPROTO), ("EMULTIHOP", EMULTIHOP),
    ("EDOTDOT", EDOTDOT), ("EBADMSG", EBADMSG), ("EOVERFLOW", EOVERFLOW), ("ENOTUNIQ", ENOTUNIQ),
    ("EBADFD", EBADFD), ("EREMCHG", EREMCHG), ("ELIBACC", ELIBACC), ("ELIBBAD", ELIBBAD),
    ("ELIBSCN", ELIBSCN), ("ELIBMAX", ELIBMAX), ("ELIBEXEC", ELIBEXEC), ("EILSEQ", EILSEQ),
    ("ERESTART", ERESTART), ("ESTRPIPE", ESTRPIPE), ("EUSERS", EUSERS), ("ENOTSOCK", ENOTSOCK),
    ("EDESTADDRREQ", EDESTADDRREQ), ("EMSGSIZE", EMSGSIZE), ("EPROTOTYPE", EPROTOTYPE),
    ("ENOPROTOOPT", ENOPROTOOPT), ("EPROTONOSUPPORT", EPROTONOSUPPORT),
    ("ESOCKTNOSUPPORT", ESOCKTNOSUPPORT), ("EOPNOTSUPP", EOPNOTSUPP), ("ENOTSUP", ENOTSUP),
    ("EPFNOSUPPORT", EPFNOSUPPORT),
    ("EAFNOSUPPORT", EAFNOSUPPORT), ("EADDRINUSE", EADDRINUSE), ("EADDRNOTAVAIL", EADDRNOTAVAIL),
    ("ENETDOWN", ENETDOWN), ("ENETUNREACH", ENETUNREACH), ("ENETRESET", ENETRESET),
    ("ECONNABORTED", ECONNABORTED), ("ECONNRESET", ECONNRESET), ("ENOBUFS", ENOBUFS),
    ("EISCONN", EISCONN), ("ENOTCONN", ENOTCONN), ("ESHUTDOWN", ESHUTDOWN),
    ("ETOOMANYREFS", ETOOMANYREFS), ("ETIMEDOUT", ETIMEDOUT), ("ECONNREFUSED", ECONNREFUSED),
    ("EHOSTDOWN", EHOSTDOWN), ("EHOSTUNREACH", EHOSTUNREACH), ("EALREADY", EALREADY),
    ("EINPROGRESS", EINPROGRESS), ("ESTALE", ESTALE), ("EUCLEAN", EUCLEAN), ("ENOTNAM", ENOTNAM),
    ("ENAVAIL", ENAVAIL), ("EISNAM", EISNAM), ("EREMOTEIO", EREMOTEIO), ("EDQUOT", EDQUOT),
    ("ENOMEDIUM", ENOMEDIUM), ("EMEDIUMTYPE", EMEDIUMTYPE), ("ECANCELED", ECANCELED),
    ("ENOKEY", ENOKEY), ("EKEYEXPIRED", EKEYEXPIRED), ("EKEYREVOKED", EKEYREVOKED),
    ("EKEYREJECTED", EKEYREJECTED), ("EOWNERDEAD", EOWNERDEAD),
    ("ENOTRECOVERABLE", ENOTRECOVERABLE), ("ERFKILL", ERFKILL),
  ]
}
