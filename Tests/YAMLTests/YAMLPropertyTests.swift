import Testing

@testable import YAML

/// SplitMix64 (Steele, Lea and Flood 2014): seeded, so that a failure can be repeated.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

@Suite struct YAMLPropertyTests {
  @Test(arguments: 0..<20 as Range<UInt64>)
  func blockStyleIsReadBack(seed: UInt64) throws {
    var generator = SplitMix64(state: seed)
    for _ in 0..<5 {
      let document = randomMapping(depth: 3, &generator)
      #expect(Plain(try parse(block(document, indent: 0))) == document)
    }
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func flowStyleIsReadBack(seed: UInt64) throws {
    var generator = SplitMix64(state: seed)
    for _ in 0..<5 {
      let document = randomMapping(depth: 3, &generator)
      #expect(Plain(try parse(flow(document))) == document)
    }
  }

  /// Broken documents are refused at a place inside the text, or read, and never trap.
  @Test(arguments: 0..<20 as Range<UInt64>)
  func mutatedDocumentsNeverTrap(seed: UInt64) {
    var generator = SplitMix64(state: seed)
    for _ in 0..<20 {
      var bytes = Array(block(randomMapping(depth: 3, &generator), indent: 0).utf8)
      for _ in 0...Int.random(in: 0..<3, using: &generator) {
        let index = Int.random(in: 0...bytes.count, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes.insert(UInt8(truncatingIfNeeded: generator.next()), at: index)
        case 1: bytes.insert(Array("\t\n&*!{[]}:-?|>'\"%@`#,".utf8).randomElement()!, at: index)
        case 2 where index < bytes.count: bytes.remove(at: index)
        default: bytes = Array(bytes[..<index])
        }
      }
      do {
        _ = try YAMLParser.parse(bytes, file: "f")
      } catch {
        let lineCount = bytes.count { $0 == 0x0A } + 1
        #expect((1...lineCount).contains(error.line))
        #expect((1...bytes.count + 1).contains(error.column))
      }
    }
  }

  @Test func aDuplicateIsFoundWhereverItIs() throws {
    for count in 2..<30 {
      for position in 0..<count - 1 {
        let lines = (0..<count - 1).map { "k\($0): 1\n" } + ["k\(position): 1\n"]
        let message = refusal(lines.joined())
        #expect(
          message == "\(count):1: duplicate key \"k\(position)\"; it is already at line "
            + "\(position + 1), column 1; remove one of the two")
      }
    }
  }

  private func randomNode(depth: Int, _ generator: inout SplitMix64) -> Plain {
    switch Int.random(in: 0..<(depth > 0 ? 4 : 2), using: &generator) {
    case 0:
      let words = ["0", "-1", "1.10", "yes", "null", "512MiB", "a b", "x#y", "a:b", "/bin/sh", "é"]
      return .scalar(words.randomElement(using: &generator)!, .plain)
    case 1: return .scalar(randomString(&generator), .quoted)
    case 2:
      let count = Int.random(in: 0..<4, using: &generator)
      return .sequence((0..<count).map { _ in randomNode(depth: depth - 1, &generator) })
    default: return randomMapping(depth: depth, &generator)
    }
  }

  private func randomMapping(depth: Int, _ generator: inout SplitMix64) -> Plain {
    var entries: [(String, Plain)] = []
    for _ in 0...Int.random(in: 0..<9, using: &generator) {
      let key = randomString(&generator)
      if entries.contains(where: { $0.0 == key }) { continue }
      entries.append((key, randomNode(depth: depth - 1, &generator)))
    }
    return .mapping(entries)
  }

  private func randomString(_ generator: inout SplitMix64) -> String {
    let bounds: [UInt32] = [0x7E, 0x2FF, 0xD7FF, 0x10FFFF]
    var text = String.UnicodeScalarView()
    for _ in 0..<Int.random(in: 0..<8, using: &generator) {
      let bound = bounds.randomElement(using: &generator)!
      let value = UInt32.random(in: 0x20...bound, using: &generator)
      if let scalar = Unicode.Scalar(value), !(0x7F..<0xA0).contains(value) { text.append(scalar) }
    }
    return String(text)
  }

  private func block(_ node: Plain, indent: Int) -> String {
    let spaces = String(repeating: " ", count: indent)
    switch node {
    case .sequence(let items) where !items.isEmpty:
      return "\n" + items.map { "\(spaces)- \(block($0, indent: indent + 2))\n" }.joined()
    case .mapping(let entries) where !entries.isEmpty:
      return "\n"
        + entries.map { "\(spaces)\(quoted($0.0)): \(block($0.1, indent: indent + 2))\n" }
        .joined()
    default: return flow(node)
    }
  }

  private func flow(_ node: Plain) -> String {
    switch node {
    case .scalar(let text, .plain): text
    case .scalar(let text, _): quoted(text)
    case .sequence(let items): "[" + items.map(flow).joined(separator: ", ") + "]"
    case .mapping(let entries):
      "{" + entries.map { "\(quoted($0.0)): \(flow($0.1))" }.joined(separator: ", ") + "}"
    }
  }

  private func quoted(_ text: String) -> String {
    var output = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\":
        output += "\\"
        output.unicodeScalars.append(scalar)
      case " "..."~": output.unicodeScalars.append(scalar)
      default:
        let digits = String(scalar.value, radix: 16)
        output += "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
      }
    }
    return output + "\""
  }
}
