internal import CLinux
internal import CCapability
public func test() -> Int32 { _ = cap_max_bits(); return agt_test() }
