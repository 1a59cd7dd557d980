/// What is visible inside without any mount of ours, who may have written it, and which
/// directories are never mounted.
struct Scope {
  /// The caller's current directory, without links.
  let workingDirectory: Path
  /// The caller's home directory, as given and without links; empty when unknown.
  let homes: [Path]
  /// Parts of the host that are visible inside, as given and without links.
  let visible: [Path]
  /// The workspace and whatever else an agent may write: visible, and nothing in it is believed.
  let untrusted: [Path]

  init(
    files: any ProgramFiles, workingDirectory: Path, home: Path?, visible: [Path],
    untrusted: [Path]
  ) {
    func bothForms(_ paths: [Path]) -> [Path] {
      var all: [Path] = []
      for path in paths where path.isAbsolute {
        let plain = Path(absolute: path.components)
        for form in [plain, files.walkIfAny(plain)?.real ?? plain] where !all.contains(form) {
          all.append(form)
        }
      }
      return all
    }
    self.workingDirectory = files.walkIfAny(workingDirectory)?.real ?? workingDirectory
    homes = bothForms(home.map { [$0] } ?? []).filter { $0 != "/" }
    self.visible = bothForms(visible)
    self.untrusted = bothForms(untrusted)
  }

  func covers(_ path: Path) -> Bool {
    visible.contains { path.isWithin($0) } || isUntrusted(path)
  }

  func isUntrusted(_ path: Path) -> Bool { untrusted.contains { path.isWithin($0) } }

  func isInHome(_ path: Path) -> Bool { homes.contains { path.isWithin($0) } }

  /// Whether mounting the whole directory could show what nobody asked for: the home directory, the
  /// workspace and what contains them, the system's directories, the places where secrets are kept.
  ///
  /// A file below such a directory may still be mounted by itself.
  func isBroad(_ directory: Path) -> Bool {
    if directory == "/" || systemDirectories.contains(directory) { return true }
    if systemTrees.contains(where: { directory.isWithin($0) }) { return true }
    if directory.parent == "/var/lib" || directory.parent == "/home" { return true }
    if (homes + untrusted).contains(where: { $0.isWithin(directory) }) { return true }
    for home in homes + foreignHomes(of: directory) {
      if directory == home { return true }
      if broadInHome.contains(where: { directory == home.appending($0) }) { return true }
      if secretInHome.contains(where: { directory.isWithin(home.appending($0)) }) { return true }
    }
    return false
  }

  /// The home directories of others that the path could lie in.
  private func foreignHomes(of path: Path) -> [Path] {
    let names = path.components
    var found: [Path] = []
    if names.count >= 2, names[0].isText("home") { found.append(Path(absolute: names.prefix(2))) }
    if let first = names.first, first.isText("root") { found.append("/root") }
    return found
  }
}

/// hier(7): each holds more than one program.
private let systemDirectories: [Path] = [
  "/bin", "/gnu", "/home", "/lib", "/lib32", "/lib64", "/libx32", "/media", "/mnt", "/nix",
  "/opt", "/root", "/sbin", "/snap", "/srv", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/local",
  "/usr/local/bin", "/usr/sbin", "/usr/share", "/var", "/var/cache", "/var/lib", "/var/opt",
  "/var/tmp", "/var/www",
]

/// Nothing below these is a program's own directory.
private let systemTrees: [Path] = [
  "/boot", "/dev", "/etc", "/lost+found", "/proc", "/run", "/sys", "/var/backups", "/var/lock",
  "/var/log", "/var/mail", "/var/run", "/var/spool",
]

/// Directories below a home that collect the belongings of many programs (XDG base directories and
/// user directories, the stores of package managers that keep a token at their top).
private let broadInHome = [
  ".cache", ".cargo", ".config", ".gem", ".gradle", ".local", ".local/bin", ".local/lib",
  ".local/share", ".local/state", ".m2", ".npm", ".var", ".var/app", "bin", "snap", "Desktop",
  "Documents", "Downloads", "Music", "Pictures", "Public", "Templates", "Videos",
]

/// Directories below a home that hold keys, tokens, mail or browser profiles.
private let secretInHome = [
  ".aws", ".azure", ".claude", ".config/chromium", ".config/gcloud", ".config/gh",
  ".config/google-chrome", ".config/op", ".docker", ".gnupg", ".kube", ".local/share/keyrings",
  ".mozilla", ".password-store", ".pki", ".ssh", ".terraform.d", ".thunderbird",
]
