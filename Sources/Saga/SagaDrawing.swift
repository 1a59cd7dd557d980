/// The graph of a saga for people and for Graphviz.
public enum SagaDrawing {
  /// One line a step, in topological order: each step in a column of its own, lines to what it needs.
  ///
  ///     ● build
  ///     ├─● test
  ///     ●─┘ publish
  ///
  /// - Parameter label: what follows the drawing of a step.
  public static func terminal(_ graph: SagaGraph, label: (Int) -> String) -> String {
    // Which step's line goes down in each column.
    var columns: [Int?] = []
    var waiting = graph.plan.steps.indices.map { Set(graph.dependents[$0]) }
    var rows: [(drawing: String, step: Int)] = []
    for step in graph.order {
      let needs = columns.indices.filter { columns[$0].map { waiting[$0].contains(step) } ?? false }
      for column in needs { waiting[columns[column]!].remove(step) }
      let ended = needs.filter { waiting[columns[$0]!].isEmpty }
      let own = ended.first ?? columns.firstIndex(of: nil) ?? columns.count
      if own == columns.count { columns.append(nil) }
      rows.append((row(columns, own: own, needs: Set(needs), ended: Set(ended)), step))
      for column in ended { columns[column] = nil }
      columns[own] = waiting[step].isEmpty ? nil : step
      while columns.last == .some(nil) { columns.removeLast() }
    }
    let width = rows.map(\.drawing.count).max() ?? 0
    return rows.map { row in
      row.drawing + String(repeating: " ", count: width - row.drawing.count + 1) + label(row.step)
        + "\n"
    }.joined()
  }

  private static func row(_ columns: [Int?], own: Int, needs: Set<Int>, ended: Set<Int>) -> String {
    let ends = needs.subtracting([own]).union([own])
    let first = ends.min()!
    let last = ends.max()!
    var text = ""
    for column in columns.indices {
      let isInside = column > first && column < last
      let goesOn = !ended.contains(column)
      let mark: String
      if column == own {
        mark = "●"
      } else if needs.contains(column) {
        mark =
          if column == first { goesOn ? "├" : "└" } else if column == last {
            goesOn ? "┤" : "┘"
          } else {
            goesOn ? "┼" : "┴"
          }
      } else {
        mark = columns[column] == nil ? (isInside ? "─" : " ") : "│"
      }
      text += mark
      if column < columns.count - 1 { text += column >= first && column < last ? "─" : " " }
    }
    while text.hasSuffix(" ") { text.removeLast() }
    return text
  }

  /// The language of Graphviz; names are quoted by it as they are, for they hold letters, digits, - and _.
  public static func dot(_ graph: SagaGraph, status: (Int) -> SagaStepStatus?) -> String {
    var lines = ["digraph \"\(graph.plan.name)\" {", "  rankdir=LR;", "  node [fontname=sans];"]
    for (index, step) in graph.plan.steps.enumerated() {
      let shape =
        switch step.kind {
        case .readonly: "ellipse"
        case .compensatable: "box"
        case .pivot: "diamond"
        case .retriable: "cds"
        }
      let state = status(index).map { "\\n\($0.rawValue)" } ?? ""
      lines.append(
        "  \"\(step.id.text)\" [shape=\(shape), label=\"\(step.id.text)\(state)\"];")
    }
    for (number, members) in graph.groups.enumerated() {
      lines.append("  subgraph cluster_\(number) {")
      lines.append("    label=\"\(graph.policy(of: number).rawValue)\"; style=dashed;")
      for member in members { lines.append("    \"\(graph.plan.steps[member].id.text)\";") }
      lines.append("  }")
    }
    for (index, needs) in graph.needs.enumerated() {
      for need in needs {
        lines.append(
          "  \"\(graph.plan.steps[need].id.text)\" -> \"\(graph.plan.steps[index].id.text)\";")
      }
    }
    return (lines + ["}"]).joined(separator: "\n") + "\n"
  }
}
