internal import Glibc
internal import Saga

/// `saga-simulation COUNT SEED [MUTANT]`: runs that many schedules; status 1, the seed and the reason when
/// one of them breaks what must hold. With a COUNT of 1 it tells the whole story.
@main
struct SagaSimulation {
  static func main() {
    let words = CommandLine.arguments
    guard words.count >= 3, let count = UInt64(words[1]), let seed = UInt64(words[2]) else {
      print("usage: saga-simulation COUNT SEED [MUTANT]")
      exit(2)
    }
    let mutant = words.count > 3 ? Schedule.Mutant(rawValue: words[3])! : nil
    // A saga that rests for a person counts each time.
    var rests: [SagaPhase: Int] = [:]
    var crashes = 0
    for number in seed..<(seed + count) {
      var schedule = Schedule(seed: number, mutant: mutant)
      schedule.run()
      rests.merge(schedule.rests, uniquingKeysWith: +)
      crashes += schedule.crashes
      if let fault = schedule.fault {
        print("seed \(number): \(fault)")
        if count == 1 { print(schedule.story) }
        exit(1)
      }
    }
    let table = SagaPhase.allCases.filter(\.isResting).map {
      "\($0.rawValue) \(rests[$0] ?? 0)"
    }
    print("\(count) schedules, \(crashes) crashes: \(table.joined(separator: ", "))")
  }
}
