internal import TesseraChat
internal import TesseraDecoding
internal import TesseraGrammars
internal import TesseraKernels
internal import TesseraReporting
internal import TesseraResidency
internal import Tessera
internal import TesseraTokenization
internal import TesseraTransformer
internal import TesseraWeightFile

/// The engine's model, here and in all of the command line; the library has one for its users.
typealias Model = TesseraTransformer.Model

/// A model that is ready to decode.
struct Session {
    let source: ModelSource
    let sequence: TokenSequence
    let state: DecodingState
    let decoder: any TokenDecoder
    let drafting: Drafting
    /// From the call to a decoder that can start.
    let loadSeconds: Double

    var file: WeightFile { source.file }
    var model: Model { sequence.model }

    /// - Parameters:
    ///   - planner: The planner of all texts that share passes; by default one for this text.
    ///   - cached: Tokens that the sequence has committed already.
    init(
        _ source: ModelSource, _ sequence: TokenSequence, sampling: SamplingOptions,
        drafting: Drafting, drafter: DraftModel?, planner: Planner? = nil,
        startedAt start: Double, ignoresEnd: Bool = false, traced: Bool = false,
        cached: [Int32] = []
    ) throws {
        self.source = source
        self.sequence = sequence
        self.drafting = drafting
        let ends = source.stopTokens
        let sampler = Sampler(
            sampling, vocabularySize: source.file.config.vocabularySize,
            forbidden: source.file.tokensWithoutText + (ignoresEnd ? Array(ends) : []),
            compute: sequence.compute)
        state = DecodingState(
            sequence, sampler: sampler, stopTokens: ignoresEnd ? [] : ends, traced: traced,
            cached: cached)
        let planner = planner ?? drafting.planner(sequence.config.blockDecoding)
        let drafts = try drafter?.drafts(
            for: sequence, stopTokens: state.stopTokens, drafting.lookups(planner))
        decoder = try drafting.decoder(state, planner, drafts: drafts)
        loadSeconds = Clock.now - start
    }

    /// Draws in another way from now on.
    func draw(_ options: SamplingOptions) {
        guard options != state.sampler.options else { return }
        state.sampler = state.sampler.with(options)
    }

    /// A generation whose long prompt shows its progress on a terminal.
    func generation(
        limit: Int, stop: [String], grammar: TokenGrammar? = nil, printsSpecials: Bool = false,
        beginsText: Bool,
        output: @escaping (FixedToken?, String) -> Void
    ) -> Generation {
        var progress = ProgressReport("prompt")
        let batch = sequence.batchCapacity
        var generation = Generation(
            decoder, tokenizer: source.tokenizer, limit: limit, stopStrings: stop,
            printsSpecials: printsSpecials, beginsText: beginsText,
            isCancelled: { Interruption.isRequested },
            promptProgress: { done, total in
                guard total > 2 * batch else { return }
                progress.update(done: done, total: total)
                if total - done <= batch { progress.finish() }
            }, output: output)
        generation.grammar = grammar
        return generation
    }
}

extension GenerationSummary {
    /// The result of one generation, for scripts.
    ///
    /// - Parameter dropped: Tokens of the prompt that were left out.
    func members(
        _ session: Session, text: String, dropped: Int
    ) -> [(String, JSONOutput)] {
        let sampling = session.state.sampler.options
        let context = session.sequence.contextLength
        let used = session.state.history.count
        let traits = session.model.config.blockDecoding
        let isVerified = session.drafting.verifies(traits)
        let isBounded = largestBlock > 1 && !isVerified
        let gamma = isBounded ? session.drafting.rule(traits).gamma : nil
        let members: [(String, JSONOutput)] = [
            ("schema_version", 1),
            ("text", .string(text)),
            ("token_ids", .array(tokens.map { .int(Int($0.id)) })),
            ("prompt_tokens", .int(promptTokens)),
            ("generated_tokens", .int(tokens.count)),
            ("context_used", .int(min(used, context))),
            ("context_limit", .int(context)),
            ("context_dropped", .int(dropped + max(0, used - context))),
            ("forward_passes", .int(forwardPasses)),
            ("tokens_per_pass", .number(tokensPerPass)),
            ("time_to_first_token_seconds", .number(timeToFirstTokenSeconds)),
            ("decode_seconds", .number(decodeSeconds)),
            ("tokens_per_second", .number(tokensPerSecond)),
            ("load_seconds", .number(session.loadSeconds)),
            ("peak_rss_bytes", .int(Resources.peakRSS)),
            ("hot_bytes", .int(session.model.residency.hotBytes)),
            ("streamed_bytes", .int(session.model.residency.streamedBytes)),
            ("io", session.model.inputMethod.map { .string($0.rawValue) } ?? .null),
            ("bytes_read", .int(Resources.bytesRead)),
            ("major_faults", .int(Resources.majorFaults)),
            ("stop_reason", .string(stopReason.rawValue)),
            ("model", .string(session.file.config.name)),
            ("isa", .string(session.model.compute.isa)),
            ("threads", .int(session.model.compute.threads)),
            ("seed", .unsigned(sampling.seed)),
            ("temperature", .number(Double(sampling.temperature))),
            ("block_size", .int(max(1, largestBlock))),
            ("block_size_option", .string(session.drafting.blockSize.map(String.init) ?? "auto")),
            ("gamma", gamma.map { .number(Double($0)) } ?? .null),
            ("verified", .bool(isVerified)),
            ("draft_source", session.decoder.draftSource.map { .string($0) } ?? .null),
            ("drafted_tokens", .int(drafts.drafted)),
            ("accepted_tokens", .int(drafts.accepted)),
            ("acceptance", drafts.acceptance.map { .number($0) } ?? .null),
        ]
        return members + (session.state.trace.map { [("trace", $0.json)] } ?? [])
    }

    /// Two lines for people, and one of drafts where there are any.
    func report(_ session: Session) -> String {
        let perPass = Format.fixed(tokensPerPass, 2)
        let threads = session.model.compute.threads
        func count(_ number: Int, _ one: String, _ many: String? = nil) -> String {
            "\(number) \(number == 1 ? one : many ?? one + "s")"
        }
        var drafted = ""
        if let source = session.decoder.draftSource {
            drafted =
                "\ndrafts by \(source): \(drafts.accepted) of \(count(drafts.drafted, "token")) right"
        }
        return """
            prompt \(count(promptTokens, "token")), first token after \
            \(Format.seconds(timeToFirstTokenSeconds)); \(count(tokens.count, "token")) in \
            \(count(forwardPasses, "pass", "passes")) (\(perPass) per pass), \
            \(Format.fixed(tokensPerSecond, 1)) tokens/s; ended by \(stopReason.rawValue)
            \(session.model.compute.isa), \(count(threads, "thread")), \
            block size \(max(1, largestBlock)), seed \(session.state.sampler.options.seed), \
            peak memory \(Format.bytes(Resources.peakRSS))\(drafted)
            """
    }
}
