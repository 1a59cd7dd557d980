/// Why a command cannot be started; `description` names the object and the cause, `hint` mends it.
public struct ProgramError: Error, Equatable, Sendable, CustomStringConvertible {
  public enum Reason: Equatable, Sendable {
    /// No such program in the directories that were searched, or at the path.
    case notFound
    case notExecutable
    case isDirectory
    /// A device, socket or FIFO.
    case notAFile
    /// More than 40 symbolic links.
    case linkLoop
    case unreadable
    /// The interpreter that a `#!` line names does not exist.
    case interpreterMissing
    /// A `#!` line that the kernel or env(1) would refuse, or that needs more than is resolved.
    case interpreterLine
    /// More than four interpreters on the way to an ELF image, or shims that lead in a circle.
    case tooManySteps
    /// Neither an ELF image nor a script.
    case notRunnable
    /// An ELF image for another kind of processor.
    case wrongMachine
    /// The dynamic loader that the ELF image names does not exist or is none.
    case loaderMissing
    /// The version that a version manager is told to use is not installed.
    case versionMissing
    /// Nothing tells the version manager which version to use.
    case versionUnset
    /// A version string that cannot be the name of an installed version.
    case versionMalformed
    /// The chosen version does not have this command.
    case commandNotInVersion
    /// Something that an agent can write leads to a file outside, which is not made visible.
    case leavesWorkspace
    case tooLong
  }

  public let reason: Reason
  /// One sentence without the name of the command that prints it.
  public let description: String
  /// What to do about it, if that can be said.
  public let hint: String?

  init(_ reason: Reason, _ description: String, hint: String? = nil) {
    self.reason = reason
    self.description = description
    self.hint = hint
  }

  init(_ failure: WalkFailure) {
    switch failure {
    case .missing(let path): self.init(.notFound, "\(path): no such file or directory (ENOENT)")
    case .denied(let path):
      self.init(
        .unreadable, "\(path): permission denied (EACCES)",
        hint: "ls -ld \(path) shows who may read it")
    case .loop(let path):
      self.init(
        .linkLoop, "\(path): more than \(linksMax) symbolic links (ELOOP)",
        hint: "namei \(path) shows them")
    case .tooLong(let path): self.init(.tooLong, "\(path): longer than a path may be")
    case .other(let path, let errno): self.init(.unreadable, "\(path): error \(errno) of lstat(2)")
    }
  }
}
