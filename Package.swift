// swift-tools-version: 6.2
import PackageDescription

/// Strict everywhere: unsafe code is marked, existentials are visible, imports are explicit,
/// and a warning stops the build. A section for each function, so that the linker can leave out what is not
/// called, and put together what a launch calls; generic types are made from what the compiler knows, not from
/// their names as text, which takes four times as long (docs/decisions/0005).
let strict: [SwiftSetting] = [
  .unsafeFlags(
    ["-Xfrontend", "-function-sections"]
      + ["-Xfrontend", "-disable-concrete-type-metadata-mangled-name-accessors"],
    .when(configuration: .release)),
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

/// A static executable starts in about 1 ms; a dynamic one in 5 (docs/decisions/0001). lld, because gold
/// warns of what the Swift runtime would load in a dynamic one.
let staticExecutable: [LinkerSetting] = [
  .unsafeFlags(["-static-executable", "-use-ld=lld", "-Xlinker", "--gc-sections"])
]

/// Swift's libraries inside, the C library outside, for what asks the name service (getpwuid(3)): starts in
/// half the time of a dynamic one. The names are what FoundationEssentials needs and does not say.
let staticLibraries: [LinkerSetting] = [
  .unsafeFlags(
    ["-static-stdlib", "-use-ld=lld", "-Xlinker", "--gc-sections", "-Xlinker", "--start-group"]
      + ["-lFoundationEssentials", "-l_FoundationCollections", "-l_FoundationCShims"]
      + ["-lswiftSynchronization", "-Xlinker", "--end-group"])
]

/// A module of ours with the strict settings.
func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

/// What a launch calls, together at the front: it touches fewer pages (Scripts/link-order/update).
func linkOrder(_ name: String) -> LinkerSetting {
  let list = "\(Context.packageDirectory)/Scripts/link-order/\(name).txt"
  return .unsafeFlags(
    ["-Xlinker", "--symbol-ordering-file=\(list)", "-Xlinker", "--no-warn-symbol-ordering"],
    .when(configuration: .release))
}

/// A statically linked command without Foundation.
func command(
  _ name: String, _ dependencies: [Target.Dependency], linking: [LinkerSetting] = []
) -> Target {
  .executableTarget(
    name: name, dependencies: dependencies, swiftSettings: strict,
    linkerSettings: staticExecutable + linking)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

/// What several test targets share; no product contains it.
func testSupport(_ name: String) -> Target {
  .target(name: name, path: "Tests/\(name)", swiftSettings: strict)
}

let package = Package(
  name: "agt-run",
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .systemLibrary(
      name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
    .systemLibrary(name: "CCapability", pkgConfig: "libcap", providers: [.apt(["libcap-dev"])]),
    .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
    .systemLibrary(name: "CNettle", pkgConfig: "nettle", providers: [.apt(["nettle-dev"])]),
    .systemLibrary(name: "CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"])]),
    .target(name: "CLinux"),
    .target(name: "CStart"),
    .target(name: "CProbe"),

    module("Kernel", ["CLinux", "CCapability"]),
    module("JSON"),
    module("YAML", ["CYAML"]),
    module("LaunchPlan"),
    module("Paths"),
    module("Hashing", ["CNettle"]),
    module("Audit", ["CNettle", "CSodium", "Hashing", "JSON"]),
    module("AuditStore", ["Audit", "Hashing", "JSON", "Kernel"]),
    module("Programs", ["JSON"]),
    module("Rings", ["CLinux", "CSeccomp", "YAML", "JSON", "LaunchPlan", "Paths"]),
    module("Policy", ["CPCRE2", "Hashing", "YAML", "JSON", "Paths"]),
    module("Network", ["Policy"]),
    module("Broker", ["JSON", "YAML"]),
    module("StageCore", ["Kernel", "LaunchPlan"]),
    module("Saga", ["YAML", "JSON"]),
    module("Transactions", ["Kernel", "JSON", "Hashing", "Paths"]),
    module(
      "Supervisor",
      [
        "Kernel", "JSON", "YAML", "LaunchPlan", "Programs", "Rings", "Policy", "Network",
        "Broker", "Transactions", "Hashing", "Audit", "AuditStore", "Saga", "Paths",
      ]),
    module(
      "SagaRunner",
      ["Saga", "Supervisor", "Transactions", "Kernel", "JSON", "YAML", "Hashing", "Paths"]),

    command("agt-stage", ["StageCore", "CStart"], linking: [linkOrder("agt-stage")]),
    command("agt-run", ["Supervisor", "CStart"], linking: [linkOrder("agt-run")]),
    command("agt-probe", ["CProbe"]),
    command("agt-bench", ["Kernel", "JSON", "Rings", "Policy", "Saga", "Audit", "AuditStore"]),
    .executableTarget(
      name: "agt",
      dependencies: [
        "Supervisor", "Policy", "Rings", "JSON", "YAML", "Kernel", "Transactions", "Saga",
        "SagaRunner", "Audit", "AuditStore", "Paths",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: strict, linkerSettings: staticLibraries),

    testSupport("TestSupport"),
    .executableTarget(name: "fault-injector", path: "Tests/FaultInjector"),
    // A program that begins as agt-run and agt-stage do, run by CommandTests.
    .executableTarget(
      name: "start-check", dependencies: ["CStart"], path: "Tests/StartCheck",
      linkerSettings: staticExecutable),
    // Run by SagaTests as release code: 100,000 schedules are seconds then.
    .executableTarget(
      name: "saga-simulation", dependencies: ["Saga"], path: "Tests/SagaSimulation",
      swiftSettings: strict),

    tests("KernelTests", ["Kernel", "TestSupport"]),
    tests("JSONTests", ["JSON"]),
    tests("YAMLTests", ["YAML"]),
    tests("HashingTests", ["Hashing"]),
    .testTarget(
      name: "AuditTests",
      dependencies: ["Audit", "AuditStore", "Hashing", "JSON", "Kernel", "TestSupport"],
      exclude: ["verify_log.py"], swiftSettings: strict),
    tests("LaunchPlanTests", ["LaunchPlan"]),
    tests("ProgramsTests", ["Programs"]),
    tests("NetworkTests", ["Network", "Policy"]),
    tests("BrokerTests", ["Broker", "JSON", "YAML"]),
    tests("RingsTests", ["Rings", "JSON"]),
    .testTarget(
      name: "PolicyTests", dependencies: ["Policy", "Network", "YAML", "JSON"],
      exclude: ["cedar_decisions.py"], swiftSettings: strict),
    tests(
      "SupervisorTests",
      [
        "Supervisor", "Broker", "Audit", "AuditStore", "Policy", "Kernel", "JSON", "LaunchPlan",
        "Rings",
      ]),
    .testTarget(
      name: "TransactionsTests", dependencies: ["Transactions", "Kernel", "TestSupport"],
      exclude: ["trees.py"], swiftSettings: strict),
    tests("SagaTests", ["Saga", "YAML", "JSON", "TestSupport"]),
    tests("EscapeTests", ["JSON", "CProbe"]),
    tests("CommandTests", ["JSON", "Rings", "TestSupport"]),
    .testTarget(
      name: "PeopleTests", dependencies: ["TestSupport"], exclude: ["world.py"],
      swiftSettings: strict),
    tests("TidyTests", []),
  ]
)
