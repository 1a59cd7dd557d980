internal import ArgumentParser
internal import Glibc
internal import JSON
internal import Supervisor

/// How every subcommand prints and ends.
enum Printing {
  static func json(_ value: JSONValue) {
    print(String(decoding: JSONWriter.pretty(value), as: UTF8.self))
  }

  /// Colour only for a person who has not said no (no-color.org).
  static let usesColour: Bool = {
    guard isatty(1) == 1 else { return false }
    // SAFETY: getenv is called while the process has one thread.
    return unsafe getenv("NO_COLOR") == nil
  }()

  /// nil when standard output is no terminal.
  static var terminalColumns: Int? {
    guard isatty(1) == 1 else { return nil }
    var size = winsize()
    // SAFETY: the structure is ours.
    guard unsafe ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
  }

  static func coloured(_ text: String, _ colour: Colour) -> String {
    usesColour ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
  }

  /// Codes of ECMA-48, SGR.
  enum Colour: Int {
    case red = 31
    case green = 32
    case yellow = 33
  }

  static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  /// Runs what can be refused.
  static func attempt<R>(_ body: () throws(RunError) -> R) throws -> R {
    do throws(RunError) { return try body() } catch { throw fail(error) }
  }

  /// Says why, gives the hint and ends with the status.
  static func fail(_ error: RunError) -> ExitCode {
    var text = "agt: \(error.message)\n"
    if let hint = error.hint { text += "  hint: \(hint)\n" }
    var bytes = Array(text.utf8)
    // SAFETY: the count is that of the buffer.
    _ = unsafe write(2, &bytes, bytes.count)
    return ExitCode(Int32(error.status.rawValue))
  }
}
