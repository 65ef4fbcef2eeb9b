internal import TesseraWeightFile

/// Where the tensors of a model stand in the files of a source, read as the format has them.
struct StoredTensors {
    /// One tensor of a source.
    struct Part {
        var file: SourceFile
        /// From the start of the file.
        var offset: Int
        var type: SourceType
        /// Scales of 8-bit floats.
        var scales: BlockScales?
    }

    private let form: StoredForm
    private let config: ModelConfig
    private let entries: [String: (tensor: ModelTensor, part: Part, firstRow: Int)]
    /// In execution order.
    let list: [SourceTensor]

    /// - Parameters:
    ///   - tensors: The stored tensors; by default all that the model needs.
    ///   - find: The stored tensor with a name, which must have these rows and columns. Throws if
    ///     there is none.
    init(
        _ config: ModelConfig, _ form: StoredForm, tensors: [ModelTensor]? = nil,
        place: (ModelTensor) -> StoredForm.Place,
        find: (_ name: String, _ rows: Int, _ columns: Int) throws(ImportError) -> Part
    ) throws(ImportError) {
        var entries: [String: (tensor: ModelTensor, part: Part, firstRow: Int)] = [:]
        var list: [SourceTensor] = []
        for tensor in tensors ?? config.tensors {
            let place = place(tensor)
            let part = try find(place.name, place.rows, tensor.columns)
            entries[tensor.name] = (tensor, part, place.firstRow)
            list.append(
                SourceTensor(
                    name: tensor.name, rows: tensor.rows, columns: tensor.columns, type: part.type))
        }
        self.form = form
        self.config = config
        self.entries = entries
        self.list = list
    }

    /// Bytes of all of them.
    var byteCount: Int {
        list.reduce(0) { $0 + $1.rows * Self.rowBytes($1) }
    }

    private static func rowBytes(_ tensor: SourceTensor) -> Int {
        tensor.columns / tensor.type.blockElements * tensor.type.blockBytes
    }

    func read(
        _ tensor: SourceTensor, rows: Range<Int>, into output: inout [Float]
    ) throws(ImportError) {
        let scales = entries[tensor.name]?.part.scales
        try visit(tensor, rows) { bytes, start, row, stored in
            let target = row * tensor.columns
            tensor.type.decode(
                bytes, from: start, count: tensor.columns, into: &output, at: target)
            scales?.apply(to: &output, at: target, row: stored, width: tensor.columns)
        }
        if let role = entries[tensor.name]?.tensor.role, role.isVector { adjust(&output, role) }
    }

    /// Converts a vector to the format.
    private func adjust(_ values: inout [Float], _ role: TensorRole) {
        if form.reorders(role, headDim: config.headDim) {
            let source = values
            for index in values.indices {
                values[index] = source[form.stored(index, headDim: config.headDim)]
            }
        }
        if role.isNorm, form.normOffset != 0 {
            for index in values.indices { values[index] += form.normOffset }
        }
        if role == .finalNorm, form.finalNormFactor != 1 {
            for index in values.indices { values[index] *= form.finalNormFactor }
        }
    }

    func readBlocks(
        _ tensor: SourceTensor, rows: Range<Int>
    ) throws(ImportError) -> SourceBlocks? {
        guard tensor.type.codeEncoding != nil else { return nil }
        var result = SourceBlocks(tensor.type, values: rows.count * tensor.columns)
        try visit(tensor, rows) { bytes, start, row, _ in
            tensor.type.unpack(
                bytes, from: start, count: tensor.columns, into: &result, at: row * tensor.columns)
        }
        return result
    }

    /// Calls `body` with the stored bytes of each row, its offset in them, its index in `rows`, and its row of the
    /// stored tensor.
    private func visit(
        _ tensor: SourceTensor, _ rows: Range<Int>, _ body: ([UInt8], Int, Int, Int) -> Void
    ) throws(ImportError) {
        guard let entry = entries[tensor.name] else {
            preconditionFailure("\(tensor.name) is no tensor of this source")
        }
        precondition(rows.lowerBound >= 0 && rows.upperBound <= tensor.rows, "\(rows)")
        let rowBytes = Self.rowBytes(tensor)
        let start = entry.part.offset + entry.firstRow * rowBytes
        var bytes: [UInt8] = []
        guard tensor.rows > 1, form.reorders(entry.tensor.role, headDim: config.headDim) else {
            try entry.part.file.read(
                at: start + rows.lowerBound * rowBytes, count: rows.count * rowBytes, into: &bytes)
            for row in 0..<rows.count {
                body(bytes, row * rowBytes, row, entry.firstRow + rows.lowerBound + row)
            }
            return
        }
        for (index, row) in rows.enumerated() {
            let from = form.stored(row, headDim: config.headDim)
            try entry.part.file.read(at: start + from * rowBytes, count: rowBytes, into: &bytes)
            body(bytes, 0, index, entry.firstRow + from)
        }
    }
}
