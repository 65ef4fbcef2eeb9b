internal import ArgumentParser
internal import TesseraDecoding
internal import TesseraWeightFile

/// How tokens are drawn; what is not named comes from the model, or else from the command.
struct DrawOptions: ParsableArguments {
    /// For the help of `chat` and `generate`.
    static let discussion = """
        Options that you leave out come from the model, if it has them (see 'tessera inspect'). Otherwise chat \
        and --chat draw with --temp 0.8 --top-k 40 --top-p 0.95 --min-p 0.05 --repeat-penalty 1.1, \
        and 'generate' without --chat takes the likeliest token (--temp 0), as do models that fill \
        blocks.
        """

    @Option(
        name: [.customLong("temp"), .customLong("temperature")],
        help: "Temperature; 0 takes the likeliest token (default: the model's own, else see above)."
    )
    var temperature: Float?

    @Option(
        help: "Draw from the K likeliest tokens; 0 is off (default: the model's own, else 40 or 0)."
    )
    var topK: Int?

    @Option(
        help: """
            Draw from the fewest tokens that together have this probability; 1 is off (default: the \
            model's own, else 0.95 or 1).
            """)
    var topP: Float?

    @Option(
        help: """
            Leave out tokens less likely than this share of the likeliest; 0 is off (default: 0.05 \
            or 0).
            """)
    var minP: Float?

    @Option(
        help: "Makes tokens of the last 64 less likely; 1 is off (default: 1.1 or 1).")
    var repeatPenalty: Float?

    @Option(
        name: .shortAndLong,
        help: "Seed of the random numbers, 0 to 2^64 - 1 (default: another every time).")
    var seed: UInt64?

    func validate() throws {
        do {
            try named(in: SamplingOptions()).validate()
        } catch {
            throw ValidationError(error.description)
        }
    }

    /// - Parameter chat: Whether the model is to answer a message.
    func options(_ config: ModelConfig, chat: Bool) -> SamplingOptions {
        // A user who asks for the likeliest token wants it without a penalty.
        let isGreedy = temperature == 0
        var options = named(in: isGreedy ? .init() : .init(for: config, chat: chat))
        options.seed = seed ?? UInt64.random(in: 0...UInt64(UInt32.max))
        return options
    }

    private func named(in defaults: SamplingOptions) -> SamplingOptions {
        var options = defaults
        if let temperature { options.temperature = temperature }
        if let topK { options.topK = topK }
        if let topP { options.topP = topP }
        if let minP { options.minP = minP }
        if let repeatPenalty { options.repeatPenalty = repeatPenalty }
        return options
    }

    /// Says which options have no effect.
    func noteIneffective(_ options: SamplingOptions) {
        guard options.isGreedy else { return }
        let names = [
            ("--top-k", topK != nil), ("--top-p", topP != nil), ("--min-p", minP != nil),
        ].filter(\.1).map(\.0)
        guard !names.isEmpty else { return }
        Terminal.note(
            "tessera: \(names.joined(separator: ", ")) \(names.count == 1 ? "has" : "have") no effect "
                + "at temperature 0, which takes the likeliest token; give --temp too")
    }
}
