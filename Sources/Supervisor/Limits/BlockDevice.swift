internal import Kernel

/// A disk as the kernel's limits of throughput name it: the whole disk, not one of its partitions (io.max and
/// blkio.throttle refuse those).
struct BlockDevice: Hashable {
  let major: UInt32
  let minor: UInt32

  /// `254:0`
  var text: String { "\(major):\(minor)" }

  init(major: UInt32, minor: UInt32) {
    self.major = major
    self.minor = minor
  }

  /// - Parameter number: st_dev of stat(2); of what is on no disk, a number without a device.
  init(number: UInt64) {
    // gnu_dev_major and gnu_dev_minor of sys/sysmacros.h.
    major = UInt32(truncatingIfNeeded: (number >> 8) & 0xfff | (number >> 32) & 0xffff_f000)
    minor = UInt32(truncatingIfNeeded: number & 0xff | (number >> 12) & 0xffff_ff00)
  }

  /// The disk that a file system with this number is on; nil when it is on none: tmpfs, overlayfs and file systems of
  /// the network, and btrfs, which spreads over several.
  /// - Parameter place: where the kernel lists block devices by number (sysfs(5)).
  static func disk(number: UInt64, in place: String = "/sys/dev/block") -> BlockDevice? {
    let device = BlockDevice(number: number)
    let directory = "\(place)/\(device.text)"
    guard (try? Files.status(of: ByteString(directory))) != nil else { return nil }
    guard (try? Files.status(of: ByteString(directory + "/partition"))) != nil else {
      return device
    }
    // A partition's directory is in that of its disk.
    let text = (try? Files.read(ByteString(directory + "/../dev"), limit: 64).text) ?? ""
    let numbers = text.split { $0 == ":" || $0 == "\n" }.map { UInt32($0) }
    guard numbers.count == 2, let major = numbers[0], let minor = numbers[1] else { return nil }
    return BlockDevice(major: major, minor: minor)
  }
}
