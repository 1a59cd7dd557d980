/// A profile with its filters, in a form that a launch reads in tens of microseconds instead of
/// parsing YAML and running libseccomp.
public struct CompiledProfile: Equatable, Sendable {
  public let profile: RingProfile
  private let notify: SeccompProgram
  private let plain: SeccompProgram

  /// Longer bytes are no compiled profile. The shipped ones take some 40 KB.
  public static let maximumBytes = 1 << 20

  /// - Throws: `RingProfileError.filter`
  public init(compiling profile: RingProfile) throws(RingProfileError) {
    self.profile = profile
    (notify, plain) = try SeccompFilter.compileBoth(profile.syscalls)
  }

  /// struct sock_filter, 8 bytes each.
  /// - Parameter violations: whether violations go to a listener or only fail with EPERM.
  public func filter(violations: Bool) -> [UInt8] {
    violations ? notify.instructions : plain.instructions
  }

  /// The filter as a value for `FilterMachine`.
  public func program(violations: Bool) -> SeccompProgram { violations ? notify : plain }

  // MARK: encoding

  /// `AGTP` and the version of the layout, little-endian.
  private static let magic: UInt64 = 0x0002_5054_4741

  public func encode() -> [UInt8] {
    var out = ProfileEncoder()
    out.integer(Self.magic)
    out.profile(profile)
    out.bytes(notify.instructions)
    out.bytes(plain.instructions)
    return out.bytes
  }

  /// Reads what `encode` wrote; total and bounded on any other bytes.
  /// - Throws: `RingProfileError.encoding`
  public static func decode(_ bytes: [UInt8]) throws(RingProfileError) -> CompiledProfile {
    guard bytes.count <= maximumBytes else {
      throw .encoding(offset: maximumBytes, reason: "longer than \(maximumBytes) bytes")
    }
    var from = ProfileDecoder(bytes)
    guard try from.integer() == magic else {
      throw .encoding(offset: 0, reason: "not a compiled profile of this version")
    }
    let profile = try from.profile()
    let notify = try from.program()
    let plain = try from.program()
    try from.end()
    return CompiledProfile(profile: profile, notify: notify, plain: plain)
  }

  private init(profile: RingProfile, notify: SeccompProgram, plain: SeccompProgram) {
    self.profile = profile
    self.notify = notify
    self.plain = plain
  }
}
