/// Numbers as ECMAScript's Number::toString writes them (ECMA-262, section 6.1.6.1.20), which
/// RFC 8785, section 3.2.2.3, makes the canonical form.
enum ECMAScriptNumber {
  /// - Parameter value: Finite.
  static func format(_ value: Double) -> String {
    precondition(value.isFinite)
    if value == 0 { return "0" }
    let (digits, pointPosition) = shortestDigits(value.magnitude)
    return (value < 0 ? "-" : "") + layOut(digits, pointPosition: pointPosition)
  }

  /// The shortest decimal digits that read back as `value` (of these, the closest to it), and how
  /// many of them are before the decimal point. Swift's description has the same digits, in
  /// another layout: `5e-324`, `123.25`, `100.0`, `1e+21`.
  private static func shortestDigits(_ value: Double) -> (digits: [UInt8], pointPosition: Int) {
    var digits: [UInt8] = []
    var pointPosition: Int?
    var exponent = 0
    let description = Array(value.description.utf8)
    for (index, byte) in description.enumerated() {
      if byte == UInt8(ascii: ".") {
        pointPosition = digits.count
      } else if byte == UInt8(ascii: "e") {
        let text = String(decoding: description[(index + 1)...], as: UTF8.self)
        guard let number = Int(text) else { preconditionFailure("unknown form of a double") }
        exponent = number
        break
      } else {
        digits.append(byte)
      }
    }
    var position = (pointPosition ?? digits.count) + exponent
    let zeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
    digits.removeFirst(zeros)
    position -= zeros
    while digits.last == UInt8(ascii: "0") { digits.removeLast() }
    return (digits, position)
  }

  /// Steps 6 to 10 of the algorithm; `pointPosition` is its n.
  private static func layOut(_ digits: [UInt8], pointPosition: Int) -> String {
    let text = String(decoding: digits, as: UTF8.self)
    switch pointPosition {
    case digits.count...max(digits.count, 21) where pointPosition <= 21:
      return text + String(repeating: "0", count: pointPosition - digits.count)
    case 1...21:
      return "\(text.prefix(pointPosition)).\(text.dropFirst(pointPosition))"
    case -5...0:
      return "0." + String(repeating: "0", count: -pointPosition) + text
    default:
      let exponent = pointPosition - 1
      let fraction = digits.count > 1 ? ".\(text.dropFirst())" : ""
      return "\(text.prefix(1))\(fraction)e\(exponent < 0 ? "-" : "+")\(exponent.magnitude)"
    }
  }
}
