public struct CompiledProfile { public let profile: RingProfile; let notify: SeccompProgram; let plain: SeccompProgram
 public static let maximumBytes = 1 << 20
 public init(compiling p: RingProfile) throws(RingProfileError) { profile = p; let b = try SeccompFilter.compileBoth(p.syscalls); notify = b.notify; plain = b.plain }
 public func filter(violations: Bool) -> [UInt8] { violations ? notify.instructions : plain.instructions }
 public static func decode(_ b: [UInt8]) throws -> CompiledProfile { throw RingProfileError.filter(message: "x") }
 public func encode() -> [UInt8] { [] } }
