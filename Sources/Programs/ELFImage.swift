/// What the kernel and ld.so(8) read of an ELF file to find the loader and the libraries (elf(5)).
struct ELFImage: Equatable {
  /// e_machine of a processor (elf(5), psABI supplements).
  enum Machine: UInt16, Equatable, Sendable {
    case amd64 = 62
    case arm64 = 183

    static var host: Machine {
      #if arch(x86_64)
        .amd64
      #elseif arch(arm64)
        .arm64
      #else
        #error("the processor's e_machine is missing here")
      #endif
    }
  }

  /// PT_INTERP; nil in a static executable and in most libraries.
  var loader: Path?
  /// DT_NEEDED, names of libraries or paths.
  var needed: [[UInt8]] = []
  /// DT_RUNPATH, or DT_RPATH when there is none, split at colons, `$ORIGIN` not replaced.
  var libraryPath: [[UInt8]] = []

  static let magic: [UInt8] = [0x7f, 0x45, 0x4c, 0x46]

  enum Failure: Error, Equatable {
    /// Damaged, or beyond the bounds below.
    case malformed
    case wrongMachine(UInt16)
    /// 32-bit or big-endian.
    case wrongClass
  }

  /// Real programs have about a dozen.
  static let programHeadersMax = 128
  /// 16 bytes an entry; the largest seen (Chromium) has 60 entries.
  static let dynamicBytesMax = 64 * 1024
  /// The largest seen is below 150.
  static let neededMax = 512

  /// - Parameter read: bytes of the file from an offset, at most as many as asked for.
  init(machine: Machine, read: (_ offset: UInt64, _ count: Int) -> [UInt8]?) throws(Failure) {
    guard let header = read(0, 64), header.count == 64, header.starts(with: ELFImage.magic) else {
      throw .malformed
    }
    guard header[4] == 2, header[5] == 1 else { throw .wrongClass }
    let found = UInt16(header.number(at: 18, bytes: 2))
    guard found == machine.rawValue else { throw .wrongMachine(found) }
    let headersOffset = header.number(at: 32, bytes: 8)
    let count = Int(header.number(at: 56, bytes: 2))
    guard header.number(at: 54, bytes: 2) == 56, count <= ELFImage.programHeadersMax,
      let table = read(headersOffset, count * 56), table.count == count * 56
    else { throw .malformed }
    let segments = (0..<count).map { Segment(table[($0 * 56)..<($0 * 56 + 56)]) }

    if let interpreter = segments.first(where: { $0.type == 3 }) {
      guard interpreter.fileBytes > 1, interpreter.fileBytes <= UInt64(pathBytesMax),
        let text = read(interpreter.offset, Int(interpreter.fileBytes)),
        let end = text.firstIndex(of: 0), end > 0
      else { throw .malformed }
      loader = Path(Array(text[..<end]))
    }
    if let dynamic = segments.first(where: { $0.type == 2 }) {
      try readDynamic(dynamic, segments, read)
    }
  }

  private struct Segment {
    let type: UInt32
    let offset: UInt64
    let address: UInt64
    let fileBytes: UInt64
    init(_ raw: ArraySlice<UInt8>) {
      let bytes = Array(raw)
      type = UInt32(bytes.number(at: 0, bytes: 4))
      offset = bytes.number(at: 8, bytes: 8)
      address = bytes.number(at: 16, bytes: 8)
      fileBytes = bytes.number(at: 32, bytes: 8)
    }
  }

  private mutating func readDynamic(
    _ dynamic: Segment, _ segments: [Segment], _ read: (UInt64, Int) -> [UInt8]?
  ) throws(Failure) {
    guard dynamic.fileBytes <= UInt64(ELFImage.dynamicBytesMax),
      let table = read(dynamic.offset, Int(dynamic.fileBytes))
    else { throw .malformed }
    var strings: UInt64?
    var names: [UInt64] = []
    var rpath: UInt64?
    var runpath: UInt64?
    entries: for entry in 0..<(table.count / 16) {
      let value = table.number(at: entry * 16 + 8, bytes: 8)
      switch table.number(at: entry * 16, bytes: 8) {
      case 0: break entries
      case 1 where names.count < ELFImage.neededMax: names.append(value)
      case 5: strings = value
      case 15: rpath = value
      case 29: runpath = value
      default: continue
      }
    }
    guard let strings, !names.isEmpty || rpath != nil || runpath != nil else { return }
    let segment = segments.first {
      $0.type == 1 && strings >= $0.address && strings - $0.address < $0.fileBytes
    }
    guard let segment else { throw .malformed }
    let (base, overflow) = segment.offset.addingReportingOverflow(strings - segment.address)
    guard !overflow else { throw .malformed }
    func text(_ index: UInt64) throws(Failure) -> [UInt8] {
      let (offset, overflow) = base.addingReportingOverflow(index)
      guard !overflow, let bytes = read(offset, pathBytesMax + 1),
        let end = bytes.firstIndex(of: 0)
      else { throw .malformed }
      return Array(bytes[..<end])
    }
    for name in names { needed.append(try text(name)) }
    if let list = runpath ?? rpath {
      libraryPath = try text(list).split(separator: colon).map(Array.init)
    }
  }
}

extension [UInt8] {
  /// A little-endian number; the bytes must be there.
  fileprivate func number(at offset: Int, bytes: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in (0..<bytes).reversed() { value = value << 8 | UInt64(self[offset + index]) }
    return value
  }
}
