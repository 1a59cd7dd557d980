internal import CProbe
internal import Glibc

/// Keyrings are not namespaced: what is planted or read is the host's.
let keyringProbes: [Probe] = [
  Probe(call: "keyring.add_key", ring: 1, rows: [15], feature: "CONFIG_KEYS", "add a user key") {
    [
      call(
        SYS_add_key, Memory.text("user"), Memory.text("agt-probe"), Memory.text("x"), 1,
        processKeyring)
    ]
  },
  Probe(
    call: "keyring.request_key", ring: 1, rows: [15], feature: "CONFIG_KEYS",
    "ask for a key that does not exist, without an upcall: ENOKEY"
  ) {
    [call(SYS_request_key, Memory.text("user"), Memory.text("agt-probe absent"), 0, 0)]
  },
  Probe(
    call: "keyring.keyctl", ring: 1, rows: [15], feature: "CONFIG_KEYS", "ask for the own keyring"
  ) {
    [call(SYS_keyctl, 0, sessionKeyring, 0)]
  },
  Probe(
    "keyring.caller-key", ring: 1, rows: [15], needs: [.key], feature: "CONFIG_KEYS",
    "read a key of the caller's session"
  ) { fixtures in
    let found = call(
      SYS_keyctl, 10, sessionKeyring, Memory.text("user"), Memory.text(fixtures.text(.key)), 0)
    if found < 0 { return .judged(found, refusals: [EPERM, ENOSYS, ENOKEY, EACCES]) }
    let buffer = Memory.zeroed(256)
    return .judged(call(SYS_keyctl, 11, found, buffer, 256), "key \(found)")
  },
  Probe(
    "keyring.listing", ring: 1, rows: [15], needs: [.key], feature: "CONFIG_KEYS",
    "find a key of the caller's in /proc/keys"
  ) { fixtures in
    let listing = contents("/proc/keys", limit: 1 << 20)
    if listing.result < 0 { return .judged(listing.result, refusals: Outcome.fileRefusals) }
    let text = String(decoding: listing.bytes, as: UTF8.self)
    return .state(contains(text, fixtures.text(.key)), "\(listing.bytes.count) bytes of /proc/keys")
  },
]

/// KEY_SPEC_PROCESS_KEYRING and KEY_SPEC_SESSION_KEYRING of keyctl(2).
private let processKeyring = -2
private let sessionKeyring = -3
