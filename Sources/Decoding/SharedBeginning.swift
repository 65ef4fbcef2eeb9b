/// The tokens that a prompt and an earlier one both begin with.
struct SharedBeginning: Equatable {
    /// Index of the earlier prompt.
    var job: Int
    /// Number of these tokens; never all of the later prompt, whose last token must be computed.
    var count: Int

    /// The fewest tokens that are worth copying.
    private static let least = 16

    /// For each prompt the longest beginning that it shares with an earlier one, the latest of several; nil if
    /// that is short.
    static func all(_ prompts: [[Int32]]) -> [SharedBeginning?] {
        var tree = PromptTree()
        return prompts.indices.map { index in
            guard var beginning = tree.insert(index, of: prompts) else { return nil }
            beginning.count = min(beginning.count, prompts[index].count - 1)
            return beginning.count < least ? nil : beginning
        }
    }
}

/// Prompts as paths from a root: those that begin alike share the first nodes of theirs.
private struct PromptTree {
    private var nodes = [Node(prompt: 0, tokens: 0..<0, latest: 0)]

    private struct Node {
        /// Its tokens are those of this prompt at these places.
        var prompt: Int
        var tokens: Range<Int>
        /// The latest prompt that goes through it.
        var latest: Int
        /// Children by their first tokens.
        var children: [Int32: Int] = [:]
    }

    /// Adds a prompt.
    ///
    /// - Returns: The longest beginning that it shares with one before it.
    mutating func insert(_ index: Int, of prompts: [[Int32]]) -> SharedBeginning? {
        let prompt = prompts[index]
        var (node, done) = (0, 0)
        var shared: SharedBeginning?
        while done < prompt.count, let child = nodes[node].children[prompt[done]] {
            let tokens = nodes[child].tokens
            let other = prompts[nodes[child].prompt]
            var end = done
            while end < min(tokens.upperBound, prompt.count), prompt[end] == other[end] { end += 1 }
            shared = SharedBeginning(job: nodes[child].latest, count: end)
            if end < tokens.upperBound { split(child, at: end, firstToken: other[end]) }
            nodes[child].latest = index
            (node, done) = (child, end)
        }
        if done < prompt.count {
            nodes[node].children[prompt[done]] = nodes.count
            nodes.append(Node(prompt: index, tokens: done..<prompt.count, latest: index))
        }
        return shared
    }

    /// Leaves a node the tokens before `place`, and gives the others to a child.
    private mutating func split(_ node: Int, at place: Int, firstToken: Int32) {
        var rest = nodes[node]
        rest.tokens = place..<rest.tokens.upperBound
        nodes[node].tokens = nodes[node].tokens.lowerBound..<place
        nodes[node].children = [firstToken: nodes.count]
        nodes.append(rest)
    }
}
