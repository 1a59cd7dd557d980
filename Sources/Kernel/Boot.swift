/// Which start of the machine this is (random(4), boot_id).
public enum Boot {
  /// Hexadecimal digits and hyphens; empty where the kernel does not tell.
  public static var identifier: String {
    let bytes = (try? Files.read(ByteString("/proc/sys/kernel/random/boot_id"), limit: 64)) ?? []
    return bytes.text.filter { $0.isHexDigit || $0 == "-" }
  }
}
