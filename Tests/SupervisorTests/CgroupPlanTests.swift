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
