extension Probe {
  /// Every verb, in the order in which run-all performs them: what looks at the state of the
  /// process comes before what may change it.
  static let all: [Probe] = [
    inheritanceProbes, identityProbes, controlProbes, terminalProbes, fileProbes, linkProbes,
    modeProbes, procProbes, deviceProbes, processProbes, introspectionProbes, initProbes,
    keyringProbes,
    communicationProbes, mountProbes, kernelProbes, legacyProbes, memoryPolicyProbes, spliceProbes,
    socketProbes, netlinkProbes, networkProbes, namespaceProbes, execProbes, foreignProbes,
    limitProbes, lifetimeProbes,
  ].flatMap { $0 }
}
