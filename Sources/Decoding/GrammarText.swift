internal import TesseraGrammars

/// A text that follows a grammar from one of its tokens on.
///
/// A token that the grammar forbids is never drawn, so that drafts made with the text's sampler follow it too.
final class GrammarText {
    let grammar: TokenGrammar
    /// Tokens before those that follow the grammar.
    private let begin: Int
    /// The state after each number of tokens, counted from `begin`.
    private var states: [TokenGrammar.State]

    /// - Parameter begin: Tokens of the text so far, which the grammar does not cover.
    init(_ grammar: TokenGrammar, after begin: Int) {
        self.grammar = grammar
        self.begin = begin
        states = [grammar.start]
    }

    /// What has been read after some tokens.
    ///
    /// - Parameters:
    ///   - history: Tokens of the text; they change at their end only.
    ///   - block: Tokens after them.
    /// - Returns: Nil where the grammar forbids one of them.
    func state(
        _ history: [Int32], _ block: ArraySlice<Int32> = []
    ) throws(DecodingError) -> TokenGrammar.State? {
        let count = history.count - begin
        precondition(count >= 0, "a text that is shorter than what came before the grammar")
        if states.count > count + 1 { states.removeLast(states.count - count - 1) }
        while states.count <= count {
            let token = history[begin + states.count - 1]
            guard let next = try next(states[states.count - 1], token) else { return nil }
            states.append(next)
        }
        var state = states[count]
        for token in block {
            guard let next = try next(state, token) else { return nil }
            state = next
        }
        return state
    }

    private func next(
        _ state: TokenGrammar.State, _ token: Int32
    ) throws(DecodingError) -> TokenGrammar.State? {
        try bounded { () throws(GrammarError) in try grammar.next(state, token) }
    }

    /// Which tokens may follow.
    func mask(_ history: [Int32], _ block: ArraySlice<Int32>) throws(DecodingError) -> TokenMask {
        guard let state = try state(history, block) else { throw .noToken(history.count) }
        return try bounded { () throws(GrammarError) in try grammar.mask(state) }
    }

    /// Whether nothing but the end can follow.
    func isComplete(_ history: [Int32]) throws(DecodingError) -> Bool {
        try state(history).map { grammar.isComplete($0) } ?? false
    }

    /// Cuts a draft before its first token that the grammar forbids, and lengthens it where the grammar leaves no
    /// choice.
    ///
    /// - Parameter most: Tokens of the draft at most.
    func complete(
        _ draft: inout Draft, after history: [Int32], most: Int
    ) throws(DecodingError) {
        guard var state = try state(history) else { return draft.clear() }
        var count = 0
        while count < draft.count, let next = try next(state, draft.tokens[count]) {
            state = next
            count += 1
        }
        draft.cut(to: count)
        while draft.count < most {
            let guesses = try bounded { () throws(GrammarError) in try grammar.forced(state) }
            for guess in guesses.prefix(most - draft.count) {
                guard let next = try next(state, guess.token) else { return }
                draft.append(guess.token, guess.chance)
                state = next
            }
            guard !guesses.isEmpty else { return }
        }
    }

    private func bounded<Result>(
        _ body: () throws(GrammarError) -> Result
    ) throws(DecodingError) -> Result {
        do throws(GrammarError) {
            return try body()
        } catch {
            throw .badOption(error.description)
        }
    }
}
