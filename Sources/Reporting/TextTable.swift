/// Columns of text for a terminal, right-aligned but for the first `leftColumns`.
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
    public var text: String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                let space = String(repeating: " ", count: widths[column] - cell.count)
                let isLeft = column < leftColumns
                line += (column > 0 ? "  " : "") + (isLeft ? cell + space : space + cell)
            }
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }
}
