public import TesseraTokenization
internal import TesseraWeightFile

/// The bytes of a vocabulary's tokens as a tree, so that tokens that begin alike are read once.
public struct TokenTree: Sendable {
    /// For each node, in the order of a walk in depth: its byte, its depth from 0, the node after those below it.
    private(set) var bytes: [UInt8] = []
    private(set) var depths: [UInt16] = []
    private(set) var ends: [Int32] = []
    /// Bytes of the longest token that ends at the node or below it.
    private(set) var longest: [UInt16] = []
    /// The token that ends at the node; -1 for none.
    private(set) var tokens: [Int32] = []
    /// Further tokens of the same bytes, by node.
    private(set) var others: [Int: [Int32]] = [:]
    /// Bytes by id; empty for tokens without text.
    let spelled: [ArraySlice<UInt8>]
    let deepest: Int

    /// - Parameters:
    ///   - size: Ids of the model, padding included.
    ///   - leftOut: Ids that stand for nothing.
    public init(_ tokenizer: Tokenizer, vocabularySize size: Int, leavingOut leftOut: [Int32]) {
        let leftOut = Set(leftOut)
        var spelled = [ArraySlice<UInt8>](repeating: [], count: size)
        for id in 0..<Int32(size) where !leftOut.contains(id) {
            switch tokenizer.kind(of: id) {
            case .normal, .added, .byte: spelled[Int(id)] = tokenizer.bytes(of: id)
            case .special, .unused: break
            }
        }
        self.init(spelled)
    }

    init(_ spelled: [ArraySlice<UInt8>]) {
        self.spelled = spelled
        // No model has longer tokens, and a damaged file must not take all memory.
        let ids = spelled.indices.filter { (1...Self.byteLimit).contains(spelled[$0].count) }
            .map { (key: Self.key(spelled[$0]), id: $0) }
            .sorted { a, b in
                if a.key != b.key { return a.key < b.key }
                return spelled[a.id].lexicographicallyPrecedes(spelled[b.id])
            }.map(\.id)
        deepest = ids.map { spelled[$0].count }.max() ?? 0
        var path: [Int] = []  // nodes from the root down
        for id in ids {
            let text = spelled[id]
            var same = 0
            while same < path.count, same < text.count,
                bytes[path[same]] == text[text.startIndex + same]
            { same += 1 }
            for node in path[same...] { ends[node] = Int32(bytes.count) }
            path.removeLast(path.count - same)
            for byte in text.dropFirst(same) {
                path.append(bytes.count)
                bytes.append(byte)
                depths.append(UInt16(path.count - 1))
                ends.append(0)
                tokens.append(-1)
            }
            guard let node = path.last else { continue }
            if tokens[node] < 0 {
                tokens[node] = Int32(id)
            } else {
                others[node, default: []].append(Int32(id))
            }
        }
        for node in path { ends[node] = Int32(bytes.count) }
        longest = depths.map { $0 + 1 }
        var above = [Int](repeating: 0, count: deepest)  // nodes from the root down
        for node in bytes.indices {
            let depth = Int(depths[node])
            above[depth] = node
            for node in above[..<depth].reversed() {
                guard longest[node] <= depth else { break }
                longest[node] = UInt16(depth + 1)
            }
        }
    }

    /// The first eight bytes as a number, which orders most texts without a look at the others.
    private static func key(_ text: ArraySlice<UInt8>) -> UInt64 {
        var key: UInt64 = 0
        var shift: UInt64 = 56
        for byte in text.prefix(8) {
            key |= UInt64(byte) << shift
            shift &-= 8
        }
        return key
    }

    /// Tokens that end at a node.
    func each(_ node: Int, _ body: (Int32) -> Void) {
        guard tokens[node] >= 0 else { return }
        body(tokens[node])
        if !others.isEmpty { others[node]?.forEach(body) }
    }

    private static let byteLimit = 4096

    /// The token that `text` begins with; nil if there is none, if there are several, or if a longer token
    /// begins with `text`.
    func onlyToken(of text: ArraySlice<UInt8>) -> Int32? {
        var only: Int32?
        var (node, end) = (0, bytes.count)
        for byte in text {
            while node < end, bytes[node] != byte { node = Int(ends[node]) }
            guard node < end else { return only }
            if tokens[node] >= 0 {
                guard only == nil, others[node] == nil else { return nil }
                only = tokens[node]
            }
            end = Int(ends[node])
            node += 1
        }
        return node == end ? only : nil
    }
}
