public import JSON

/// What many entries have in common, made once: each is then no more than what it is about, until the thread writes it.
///
/// An agent asks thousands of times a second, and what two threads share they slow each other down with.
public protocol EntryTemplate: AnyObject, Sendable {
  /// The canonical `data` of one entry (RFC 8785) behind what is there.
  /// - Throws: when it has no canonical form; what was appended until then stays.
  func append(_ one: Occurrence, to output: inout [UInt8]) throws(JSONError)
}

/// One of the entries of a template.
public struct Occurrence: Sendable {
  public let fields: JSONObject
  public let number: UInt64
  /// Of equal ones that this entry tells of, itself included.
  public fileprivate(set) var count: UInt64 = 1
  /// Of the last of them.
  public fileprivate(set) var lastNumber: UInt64

  public init(_ fields: JSONObject, number: UInt64) {
    self.fields = fields
    self.number = number
    lastNumber = number
  }

  mutating func add(_ number: UInt64) {
    count += 1
    lastNumber = number
  }
}
