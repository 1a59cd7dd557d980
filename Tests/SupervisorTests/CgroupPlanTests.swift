import TestSupport
import Testing

@testable import Supervisor

/// Which cgroup holds a run, from what is asked and what there is.
@Suite struct CgroupPlanTests {
  private let v2 = CgroupHost.Unified(
    parent: "/u", controllers: ["memory", "pids", "io"], isOwn: true)
  private let bare = CgroupHost.Unified(parent: "/b", controllers: ["hugetlb"], isOwn: false)
  private let v1 = ["memory": "/m/agt", "cpu": "/c/agt"]
  private let cpu = RunLimits(memoryBytes: nil, processes: nil, cpuThousandths: 500)

  private func choose(
    _ choice: CgroupChoice, _ limits: RunLimits = RunLimits(), _ unified: CgroupHost.Unified?,
    _ legacy: [String: String] = [:]
  ) throws(RunError) -> CgroupPlan {
    try CgroupPlan.choose(choice, limits, CgroupHost(unified: unified, legacy: legacy))
  }

  @Test func auto() throws {
    #expect(try choose(.auto, v2, v1) == .v2(v2))
    // A version 2 that limits nothing is no reason to make one.
    #expect(try choose(.auto, bare, v1) == .none)
    #expect(try choose(.auto, nil) == .none)
    #expect(try choose(.auto, cpu, v2, v1) == .v1(v1))
    #expect(try choose(.none, v2, v1) == .none)
  }

  private func choose(
    _ choice: CgroupChoice, _ unified: CgroupHost.Unified?, _ legacy: [String: String] = [:]
  ) throws(RunError) -> CgroupPlan {
    try choose(choice, RunLimits(), unified, legacy)
  }

  @Test func whatIsAskedForIsThereOrRefused() throws {
    #expect(try choose(.v2, bare) == .v2(bare))
    #expect(try choose(.v1, v2, v1) == .v1(v1))
    #expect(throws: RunError.self) { try choose(.v2, nil, v1) }
    #expect(throws: RunError.self) { try choose(.v1, v2) }
    #expect(throws: RunError.self) { try choose(.auto, cpu, v2) }
    #expect(throws: RunError.self) { try choose(.v2, cpu, bare, v1) }
  }

  private func choose(
    _ choice: CgroupChoice, _ limits: RunLimits, _ unified: CgroupHost.Unified?,
    _ legacy: [String: String], freezes: Bool
  ) throws(RunError) -> CgroupPlan {
    try CgroupPlan.choose(
      choice, limits, CgroupHost(unified: unified, legacy: legacy), freezes: freezes)
  }

  /// Where nothing else stops all of a run, and where CPU time is counted.
  @Test func whatFreezesAndCounts() throws {
    let all = ["memory": "/m/agt", "cpuacct": "/a/agt", "freezer": "/f/agt"]
    #expect(try choose(.auto, RunLimits(), bare, all, freezes: true) == .v2(bare))
    #expect(
      try choose(.auto, RunLimits(), nil, all, freezes: true) == .v1(["freezer": "/f/agt"]))
    #expect(try choose(.auto, RunLimits(), nil, all, freezes: false) == .none)
    let time = RunLimits(cpuTimeMilliseconds: 1000)
    #expect(try choose(.auto, time, bare, all, freezes: false) == .v2(bare))
    #expect(try choose(.auto, time, nil, all, freezes: false) == .none)
    #expect(
      try choose(.v1, time, nil, all, freezes: false)
        == .v1(["memory": "/m/agt", "cpuacct": "/a/agt"]))
    #expect(try choose(.v1, RunLimits(), nil, all, freezes: false) == .v1(["memory": "/m/agt"]))
    #expect(try choose(.v1, RunLimits(), nil, all, freezes: true).controllers == ["memory"])
  }

  private let io = RunLimits(
    io: RunLimits.Throughput(
      readBytes: 1_048_576, writeBytes: 2_097_152,
      disks: [BlockDevice(major: 254, minor: 0), BlockDevice(major: 8, minor: 16)]))

  /// Held by whoever has the controller, or refused.
  @Test func throughput() throws {
    let blkio = ["memory": "/m/agt", "blkio": "/b/agt"]
    #expect(try choose(.auto, io, v2) == .v2(v2))
    #expect(try choose(.auto, io, bare, blkio) == .v1(blkio))
    // Nobody enters its hierarchy who does not ask for it.
    #expect(try choose(.v1, RunLimits(), nil, blkio) == .v1(["memory": "/m/agt"]))
    for choice in CgroupChoice.allCases {
      #expect(throws: RunError.self) { try choose(choice, io, bare, v1) }
    }
    var both = io
    both.cpuThousandths = 500
    #expect(throws: RunError.self) { try choose(.auto, both, v2, blkio) }
    let alone = CgroupHost.Unified(parent: "/i", controllers: ["io"], isOwn: true)
    var reads = io
    reads.io?.writeBytes = nil
    #expect(try choose(.auto, reads, alone) == .v2(alone))
    // What the page cache writes for a run is its own only with its memory.
    for choice in [CgroupChoice.auto, .v2] {
      #expect(throws: RunError.self) { try choose(choice, io, alone) }
    }
    let with = CgroupHost.Unified(parent: "/i", controllers: ["io", "memory"], isOwn: true)
    #expect(try choose(.auto, io, with) == .v2(with))
    #expect(
      try choose(.auto, io, with).text(io)
        == "version 2 in /i: 1 MiB/s read from and 2 MiB/s written to disk 254:0 and 8:16 together")
  }

  @Test func whatTheKernelIsTold() throws {
    let all = try #require(io.io)
    #expect(
      all.lines == ["254:0 rbps=1048576 wbps=2097152", "8:16 rbps=1048576 wbps=2097152"])
    #expect(
      all.legacyLines.map(\.line) == [
        "254:0 1048576", "8:16 1048576", "254:0 2097152", "8:16 2097152",
      ])
    #expect(all.legacyLines[3].file == "blkio.throttle.write_bps_device")
    let writes = RunLimits.Throughput(writeBytes: 5, disks: [BlockDevice(major: 8, minor: 0)])
    #expect(writes.lines == ["8:0 rbps=max wbps=5"])
    #expect(writes.legacyLines.map(\.file) == ["blkio.throttle.write_bps_device"])
    #expect(writes.text == "5 bytes/s written to disk 8:0")
  }

  /// A partition's limit is its disk's.
  @Test func disks() throws {
    let scratch = Scratch()
    let made = Command.shell(
      "mkdir -p devices/sda/sda1 block && ln -s ../devices/sda block/8:0 && ln -s ../devices/sda/sda1 block/8:1 "
        + "&& echo 8:0 >devices/sda/dev && echo 8:1 >devices/sda/sda1/dev && echo 1 >devices/sda/sda1/partition",
      in: scratch.path
    ).run()
    #expect(made.status == 0, "\(made.summary)")
    let place = scratch.path + "/block"
    let disk = BlockDevice(major: 8, minor: 0)
    #expect(BlockDevice.disk(number: 0x800, in: place) == disk)
    #expect(BlockDevice.disk(number: 0x801, in: place) == disk)
    // tmpfs and its like have no device.
    #expect(BlockDevice.disk(number: 0x2d, in: place) == nil)
    // As sys/sysmacros.h packs it.
    #expect(BlockDevice(number: 0x11032c).text == "259:300")
    #expect(BlockDevice(number: 0xfe00).text == "254:0")
  }

  @Test func ownPaths() {
    #expect(CgroupHost.ownPath(Array("4:memory:/a\n0::/b/c\n".utf8)) == "/b/c")
    #expect(CgroupHost.ownPath(Array("0::/b/agt-supervisors\n".utf8)) == "/b")
    #expect(CgroupHost.ownPath(Array("4:memory:/a\n".utf8)) == nil)
    #expect(CgroupHost.ownPath([]) == nil)
  }

  @Test(arguments: [(500, "0.5"), (2000, "2"), (1250, "1.25"), (10, "0.01"), (1005, "1.005")])
  func processors(_ thousandths: UInt64, _ text: String) {
    #expect(RunLimits.cpus(thousandths) == text)
  }
}
