/// Columns of text for a terminal, right-aligned except for the first `leftColumns`.
public struct TextTable: Sendable {
    private var rows: [[String]]
    private let leftColumns: Int

    public init(_ headings: [String], leftColumns: Int = 0) {
        rows = [headings]
        self.leftColumns = leftColumns
    }

    /// - Precondition: As many cells as headings.
    public mutating func append(_ cells: [String]) {
        precondition(cells.count == rows[0].count, "\(cells.count) cells of \(rows[0].count)")
        rows.append(cells)
    }

    /// All rows, the headings first, each with a line end.
    public var text: String { lines(of: Array(rows[0].indices)) }

    /// The same for a terminal of this many columns: a table that is too wide is cut into several,
    /// one below the other.
    ///
    /// - Parameters:
    ///   - width: nil if lines may be of any length.
    ///   - keyColumns: First columns that each of them repeats.
    public func text(width: Int?, keyColumns: Int) -> String {
        guard let width else { return text }
        let key = Array(rows[0].indices.prefix(keyColumns))
        var parts = [key]
        for column in rows[0].indices.dropFirst(keyColumns) {
            let wider = parts[parts.count - 1] + [column]
            let isFirst = parts[parts.count - 1].count == key.count
            if isFirst || self.width(of: wider) <= width {
                parts[parts.count - 1] = wider
            } else {
                parts.append(key + [column])
            }
        }
        return parts.map { lines(of: $0) }.joined(separator: "\n")
    }

    private func width(of column: Int) -> Int { rows.map { $0[column].count }.max() ?? 0 }

    private func width(of columns: [Int]) -> Int {
        columns.reduce(2 * (columns.count - 1)) { $0 + width(of: $1) }
    }

    private func lines(of columns: [Int]) -> String {
        let widths = columns.map { width(of: $0) }
        return rows.map { row in
            var line = ""
            for (place, column) in columns.enumerated() {
                let cell = row[column]
                let space = String(repeating: " ", count: widths[place] - cell.count)
                let isLeft = column < leftColumns
                line += (place > 0 ? "  " : "") + (isLeft ? cell + space : space + cell)
            }
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }
}
