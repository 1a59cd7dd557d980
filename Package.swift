// swift-tools-version: 6.2
import PackageDescription

/// Strict everywhere: unsafe code is marked, existentials are visible, imports are explicit,
/// and a warning stops the build.
let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

/// A static executable starts in about 1 ms; a dynamic one in 5 (docs/decisions/0001).
let staticExecutable: [LinkerSetting] = [.unsafeFlags(["-static-executable"])]

let package = Package(
  name: "agt-run",
  targets: [
    .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
    .systemLibrary(name: "CCapability", pkgConfig: "libcap", providers: [.apt(["libcap-dev"])]),
    .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
    .target(name: "CLinux"),
    .target(name: "Kernel", dependencies: ["CLinux", "CCapability"], swiftSettings: strict),
    .target(name: "YAML", dependencies: ["CYAML"], swiftSettings: strict),
    .executableTarget(
      name: "agt-stage", dependencies: ["Kernel"], swiftSettings: strict,
      linkerSettings: staticExecutable),
  ]
)
