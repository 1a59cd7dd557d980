internal import LaunchPlan
internal import Paths

/// A place that the profile hides (`filesystem.hide`). It is covered where the profile names it, before the shares are set;
/// a share is the host's own tree without those covers, so that what lies inside one is covered again after them.
///
/// Whoever may write above such a place decides where it lies by the next run, and can put a link there: a link must never
/// make something be shown, and no more be covered than what it leads to.
struct HiddenPlace {
  let path: String
  let hasLinks: Bool
  /// What is covered inside of a share: where it really is, or its name where the way does not end. Nil for a link outside
  /// of the home directory, which is nobody's word.
  let insideShares: String?
}

extension LoweringState {
  /// All are looked at before any is covered: the way to one may lead through another.
  var hiddenPlaces: [HiddenPlace] {
    var paths = CanonicalPaths(host)
    return profile.filesystem.hide.compactMap { rule in
      let path = expanded(rule.path)
      guard host.kind(of: path) != nil else { return nil }
      let real = paths.canonical(path)
      let hasLinks = !(real.map { PathText.areEqual($0, path) } ?? false)
      let counts = !hasLinks || PathText.isInside(path, request.home)
      return HiddenPlace(
        path: path, hasLinks: hasLinks, insideShares: counts ? real ?? path : nil)
    }
  }

  private var namedShares: [String] {
    (request.writes + [request.workspace.share]).map(\.path)
  }

  private func isNamed(_ path: String) -> Bool {
    namedShares.contains { PathText.areEqual(path, $0) }
  }

  /// A share of just that place is somebody's word and stays.
  func masks(insideShares hidden: [HiddenPlace]) -> [LaunchPlan.MountStep] {
    let shares = namedShares
    return hidden.compactMap(\.insideShares).filter { place in
      shares.contains { PathText.isInside(place, $0) } && !isNamed(place)
    }.map { .mask(path: Array($0.utf8)) }
  }

  /// What lies below a hidden place has no directory to be shown in.
  func refuseWhatIs(inside hidden: [HiddenPlace]) throws(LoweringError) {
    let shown = namedShares + [request.workingDirectory, request.program.executable]
    for place in hidden where !place.hasLinks && !isNamed(place.path) {
      // A private /tmp stands above the cover.
      if profile.filesystem.scratch != nil, PathText.isInside(place.path, "/tmp") { continue }
      for path in shown where PathText.isInside(path, place.path) {
        throw LoweringError(
          message: "\(path) lies inside \(place.path), which profile \(profile.name) hides",
          hint:
            "name another one, or show \(place.path) as well: --write \(place.path), named first")
      }
    }
  }
}
