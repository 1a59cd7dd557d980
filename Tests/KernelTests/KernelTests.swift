import Testing

@testable import Kernel

@Suite struct KernelTests {
  @Test func namespacesByName() {
    #expect(NamespaceSet([]).names == "")
    #expect(
      NamespaceSet([.user, .mount, .pid, .network, .ipc, .uts, .cgroup]).names
        == "user,mount,pid,network,ipc,uts,cgroup")
  }
}
